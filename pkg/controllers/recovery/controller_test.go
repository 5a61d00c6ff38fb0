// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestALeftoverIsDeletedAndFollowedUntilItsReplacementIsReady(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		pod := m.cluster.create("cilium", leftover)
		m.up()

		assert.Equal(t, []string{pod.Name}, m.cluster.deleted())
		assert.Equal(t, []string{"cilium: left behind by a shutdown (NodeShutdown)"}, m.cluster.recorded())
		assert.Equal(t, specs.PhaseRecovering, m.phase())
		assert.Equal(t, "kube-system/cilium: replacement cilium-2 is Pending", m.status().Message)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)

		m.cluster.become(t, "cilium", ready)
		assert.Equal(t, specs.DaemonSetPhaseRecovered, m.daemonSet("cilium").Phase)
		assert.Equal(t, specs.PhaseRecovering, m.phase(), "the settle time has yet to pass")

		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
		assert.Equal(t, 10*time.Second, m.status().FinishedAt.Sub(m.status().StartedAt))
	})
}

func TestNothingIsAskedOfTheAPIServerBeforeTheKubeletIsHealthy(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)

		for _, step := range []struct {
			name    string
			do      func()
			message string
		}{
			{"at first", func() {}, "waiting for the machine's stage"},
			{"booting", func() { m.stage(runtime.MachineStageBooting) }, "waiting for the node's name"},
			{"named", func() { m.nodename(nodeName, false) }, "waiting for the kubelet to run"},
			{"with a kubeconfig of the boot before", func() { m.kubeconfig("first") }, "waiting for the kubelet to run"},
			{"with a lifecycle", m.lifecycle, "waiting for the kubelet to run"},
			{"with a running kubelet", func() { m.kubelet(false) }, "waiting for the kubelet to be healthy"},
		} {
			step.do()
			after(time.Minute)
			assert.Equal(t, specs.PhaseWaiting, m.phase(), step.name)
			assert.Equal(t, step.message, m.status().Message, step.name)
			assert.Zero(t, m.cluster.connections(), step.name)
		}

		m.kubelet(true)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestTheKubeletHasToRegisterInThisBootFirst(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.bootID = "the boot before"
		m.cluster.create("cilium", leftover)
		m.up()
		after(time.Minute)

		assert.Equal(t, `waiting for the kubelet to register node "worker-1" in this boot`, m.status().Message)
		assert.Zero(t, m.cluster.watches())

		m.cluster.set(func() { m.cluster.bootID = bootID })
		after(6 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestANodeWithoutFailedPodsIsRecoveredAfterTheSettleTime(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", ready)
		m.up()
		after(9 * time.Second)
		assert.Equal(t, "no Failed DaemonSet pods; watching until nothing fails for 10s", m.status().Message)
		after(time.Second)

		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, "no Failed DaemonSet pods", m.status().Message)
	})
}

func TestTheWatchIsClosedOnceSettledAndNothingIsWrittenAnyMore(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.up()
		assert.Equal(t, 1, m.cluster.watches())

		m.cluster.become(t, "cilium", ready)
		after(10 * time.Second)
		assert.Zero(t, m.cluster.watches())

		written := m.versions()
		m.cluster.create("late", rejected)
		m.stage(runtime.MachineStageRunning)
		m.kubeconfig("second")
		after(time.Hour)

		assert.Equal(t, 1, m.cluster.connections())
		assert.Equal(t, written, m.versions())
	})
}

func TestTheWatchIsOpenedAgainWhenTheKubeletComesBack(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.up()
		after(10 * time.Second)
		require.Equal(t, specs.PhaseRecovered, m.phase())

		m.kubeletStops()
		after(time.Second)
		assert.Equal(t, specs.PhaseWaiting, m.phase())

		pod := m.cluster.create("gpu", rejected)
		m.kubelet(true)

		assert.Equal(t, []string{pod.Name}, m.cluster.deleted())
		m.cluster.become(t, "gpu", ready)
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
	})
}

func TestAKubeletRestartThatFellBetweenTwoPassesIsNoticed(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.up()
		after(10 * time.Second)
		m.stop()

		require.Equal(t, specs.PhaseRecovered, m.phase())
		time.Sleep(time.Minute)
		m.kubeletStops()
		m.kubelet(true)

		m.start()
		after(time.Second)
		assert.Equal(t, specs.PhaseRecovering, m.phase())
		assert.Equal(t, 2, m.cluster.connections())
	})
}

func TestARestartOfTheControllerNeitherRepeatsNorForgets(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.up()
		before := m.daemonSet("cilium")
		require.Equal(t, specs.DaemonSetPhaseReplacing, before.Phase)

		m.stop()
		after(time.Minute)
		m.start()
		after(time.Second)
		assert.Equal(t, before, m.daemonSet("cilium"))

		m.cluster.become(t, "cilium", ready)
		after(10 * time.Second)
		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
		assert.Len(t, m.cluster.deleted(), 1)

		// Recovered as it is, another restart has nothing to do.
		m.stop()
		m.start()
		after(time.Minute)
		assert.Equal(t, 2, m.cluster.connections())
	})
}

func TestARestartDuringADeleteCountsItOnce(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error { return block(ctx) }
		m.cluster.create("gpu", rejected)
		m.up()
		m.stop()
		require.Equal(t, 1, m.daemonSet("gpu").Attempts, "an attempt has to be on record before it is made")

		m.cluster.set(func() { m.cluster.onDelete = nil })
		m.start()
		after(time.Second)

		assert.Equal(t, 1, m.daemonSet("gpu").Attempts)
		assert.Equal(t, 1, m.daemonSet("gpu").Rejections)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestAShutdownStopsADeleteUnderWayAtOnce(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		var cancelled atomic.Bool

		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error {
			err := block(ctx)
			cancelled.Store(errors.Is(err, context.Canceled))

			return err
		}

		m.cluster.create("cilium", leftover)
		m.up()

		began := time.Now()
		m.shutsDown()
		require.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, "the kubelet is being shut down", m.status().Message)
		assert.True(t, cancelled.Load())
		assert.Zero(t, m.cluster.watches())
		assert.Zero(t, time.Since(began), "nothing may hold a reboot up")

		after(time.Hour)
		assert.Empty(t, m.cluster.deleted())
	})
}

func TestTheGateIsCheckedOnceMoreRightBeforeADelete(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		var tries atomic.Int32

		// The first try fails; before the second one the machine begins to reboot without having told the controller.
		m.cluster.onDelete = func(context.Context, core.Pod) error {
			tries.Add(1)
			m.cluster.set(func() { m.cluster.bootID = "another machine of the same name" })

			return errors.New("etcdserver: request timed out")
		}

		m.cluster.create("cilium", leftover)
		m.up()
		after(time.Minute)

		assert.EqualValues(t, 1, tries.Load())
		assert.Empty(t, m.cluster.deleted())
	})
}

func TestARotatedCertificateIsReadAnew(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", ready)
		m.up()
		require.Equal(t, 1, m.cluster.connections())

		// The kubelet rotates; its kubeconfig, and so the hash, stays as it is. The old certificate is refused from now on.
		m.cluster.set(func() { m.cluster.certificate, m.cluster.onDisk = 1, 1 })
		m.cluster.create("proxy", leftover)
		after(time.Second)

		assert.Equal(t, 2, m.cluster.connections())
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestACertificateThatIsRefusedForADeleteIsReadAnew(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.onDelete = func(context.Context, core.Pod) error {
			if m.cluster.connections() == 1 {
				return apierrors.NewUnauthorized("Unauthorized")
			}

			return nil
		}

		m.cluster.create("cilium", leftover)
		m.up()
		after(10 * time.Second)

		assert.Equal(t, 2, m.cluster.connections())
		assert.Len(t, m.cluster.deleted(), 1)
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
	})
}

func TestANewKubeconfigMakesANewConnection(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.up()
		m.kubeconfig("second")
		after(time.Second)

		assert.Equal(t, 2, m.cluster.connections())
		assert.Equal(t, 1, m.cluster.watches())
	})
}

func TestANewNodeNameStartsAllOver(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		other := m.cluster.create("cilium", leftover, func(pod *core.Pod) { pod.NodeName = "worker-9" })
		m.up()
		require.Len(t, m.cluster.deleted(), 1)

		m.nodename("worker-9", false)
		after(time.Second)

		assert.Equal(t, "worker-9", m.status().NodeName)
		assert.Contains(t, m.cluster.deleted(), other.Name)
		assert.Equal(t, other.Name, m.daemonSet("cilium").FailedPod)
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
	})
}

func TestAMachineThatDoesNotRegisterIsDisabled(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.nodename(nodeName, true)
		m.stage(runtime.MachineStageRunning)
		m.lifecycle()
		m.kubelet(true)
		after(time.Minute)

		assert.Equal(t, specs.PhaseDisabled, m.phase())
		assert.Zero(t, m.cluster.connections())
	})
}

func TestAPodThatOptedOutIsLeftAlone(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover, func(pod *core.Pod) { pod.OptedOut = true })
		m.up()
		after(10 * time.Second)

		assert.Empty(t, m.cluster.deleted())
		assert.Equal(t, specs.DaemonSetPhaseSkipped, m.daemonSet("cilium").Phase)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
	})
}

func TestAPodThatIsRejectedAgainAndAgainIsHandedBackAndHeals(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.up()

		pod := m.cluster.create("gpu", rejected)
		began := time.Now()

		for range 9 {
			// The DaemonSet controller replaces each pod at once, and the kubelet rejects it.
			for m.cluster.has(pod) {
				after(time.Second)
			}

			pod = m.cluster.create("gpu", rejected)
		}

		after(256 * time.Second)
		assert.Len(t, m.cluster.deleted(), 10)
		// 0+1+2+…+256 s
		assert.Equal(t, 511*time.Second, time.Since(began).Truncate(10*time.Second)+time.Second)

		pod = m.cluster.create("gpu", rejected)
		after(time.Hour)
		assert.Len(t, m.cluster.deleted(), 10)
		assert.Equal(t, specs.PhaseDegraded, m.phase())
		assert.Equal(t, specs.DaemonSetPhaseExhausted, m.daemonSet("gpu").Phase)
		assert.Equal(t, 1, m.cluster.watches(), "it has to be seen when it heals")

		m.cluster.remove(pod)
		m.cluster.create("gpu", ready)
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Zero(t, m.cluster.watches())
	})
}

func TestADaemonSetThatWantsNoPodHereAnyMoreIsReleased(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.create("old", leftover)
		m.up()
		after(time.Second)
		m.cluster.create("cilium", ready)

		after(5*time.Minute - 2*time.Second)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("old").Phase)
		after(time.Second)
		assert.Equal(t, specs.DaemonSetPhaseReleased, m.daemonSet("old").Phase)
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, "DaemonSets: 1 did not come back (kube-system/old)", m.status().Message)
	})
}

func TestADaemonSetThatDidNotComeBackIsLookedOutFor(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.create("quota", leftover)
		m.up()
		after(15*time.Minute + 10*time.Second)
		require.Equal(t, specs.PhaseRecovered, m.phase())

		// The API server is away for a while, which is no reason to take anything back.
		m.cluster.set(func() { m.cluster.away = errAway })
		after(time.Hour)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		m.cluster.set(func() { m.cluster.away = nil })
		after(time.Minute)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, 1, m.cluster.watches())

		// The quota was raised at last, and the kubelet rejects the pod.
		pod := m.cluster.create("quota", rejected)
		after(time.Second)
		assert.False(t, m.cluster.has(pod))
		assert.Equal(t, specs.PhaseRecovering, m.phase())

		m.cluster.create("quota", ready)
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, "DaemonSets: 1 recovered", m.status().Message)
		assert.Zero(t, m.cluster.watches(), "nothing is missing any more")
	})
}

func TestAnOutageIsNoTimeInWhichAReplacementStaysAway(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.create("old", leftover)
		m.up()
		after(time.Second)
		m.cluster.create("cilium", ready)

		m.cluster.set(func() { m.cluster.away = errAway })
		after(time.Hour)
		m.cluster.set(func() { m.cluster.away = nil })
		after(time.Minute)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("old").Phase)

		after(5 * time.Minute)
		assert.Equal(t, specs.DaemonSetPhaseReleased, m.daemonSet("old").Phase)
	})
}

// A webhook on deletes, behind the very kube-proxy that is stuck, takes its time before it is ignored.
func TestADeleteMayTakeAsLongAsAWebhookMay(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		var tries atomic.Int32

		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error {
			tries.Add(1)

			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(30 * time.Second):
				return nil
			}
		}

		m.cluster.create("kube-proxy", leftover)
		m.up()
		after(time.Minute)

		assert.EqualValues(t, 1, tries.Load())
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("kube-proxy").Phase)
	})
}

func TestADeleteThatFailsAgainAndAgainIsBlocked(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.onDelete = func(context.Context, core.Pod) error {
			return apierrors.NewInternalError(errors.New("failed calling webhook"))
		}

		m.cluster.create("cilium", leftover)
		m.up()
		after(25 * time.Second)
		assert.Equal(t, specs.PhaseRecovering, m.phase())

		after(20 * time.Second)
		assert.Equal(t, specs.PhaseDegraded, m.phase())
		assert.Contains(t, m.status().Message, "kube-system/cilium: cannot delete cilium-1: ")
		assert.Contains(t, m.status().Message, "failed calling webhook")

		m.cluster.set(func() { m.cluster.onDelete = nil })
		after(time.Minute)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
	})
}

func TestTheClockMayBeSetWhileTheNodeSettles(t *testing.T) {
	t.Parallel()

	for name, by := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var ahead atomic.Int64

			// They are called within the bubble, and both on the same clock.
			clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			booted := func() (time.Time, error) {
				return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(ahead.Load())), nil
			}

			boot(t, func(m *machine) {
				m.up()
				after(5 * time.Second)
				ahead.Store(int64(by))
				m.stage(runtime.MachineStageRunning) // a pass

				after(4 * time.Second)
				assert.Equal(t, specs.PhaseRecovering, m.phase())
				after(time.Second)
				assert.Equal(t, specs.PhaseRecovered, m.phase())
				assert.Equal(t, 10*time.Second, m.status().FinishedAt.Sub(m.status().StartedAt))
			}, recovery.WithClock(clock), recovery.WithBootTime(booted))
		})
	}
}

func TestAMachineWithoutKubernetesIsDisabled(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.stage(runtime.MachineStageBooting)
		after(time.Minute)
		assert.Equal(t, specs.PhaseWaiting, m.phase())

		m.stage(runtime.MachineStageRunning)
		assert.Equal(t, specs.PhaseDisabled, m.phase())
		assert.Equal(t, "this machine runs without Kubernetes", m.status().Message)
		assert.Zero(t, m.cluster.connections())

		// It is what Talos' own suite for such machines waits for (internal/integration/provision/k8s_less.go of the v1.14 line
		// runs all of DefaultClusterChecks, where this one is).
		require.NoError(t, check.AllRecovered(m.t.Context(), m.state, []string{"10.5.0.2"}, errors.New("skipped")))

		// It is given a configuration with Kubernetes later.
		m.cluster.create("cilium", leftover)
		m.up()
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestAControllerManagerThatIsAwayIsNotMistakenForARelease(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.create("cilium", leftover)
		m.up()

		after(10 * time.Minute)
		assert.Equal(t, specs.PhaseRecovering, m.phase())
		assert.Contains(t, m.status().Message, "is kube-controller-manager running?")

		m.cluster.create("cilium", ready)
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, specs.DaemonSetPhaseRecovered, m.daemonSet("cilium").Phase)
	})
}

func TestAPodHeldByAFinalizerBlocksUntilItIsLetGo(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.onDelete = func(_ context.Context, pod core.Pod) error {
			m.cluster.edit(pod, func(pod *core.Pod) { pod.Deleting = true })

			return errors.New("accepted, and waiting for its finalizers")
		}

		pod := m.cluster.create("storage", leftover, func(pod *core.Pod) { pod.Finalizers = []string{"example.com/volume"} })
		m.up()
		after(time.Hour)

		assert.Equal(t, specs.PhaseDegraded, m.phase())
		assert.Equal(t, `kube-system/storage: cannot delete storage-1: pod "storage-1" is held by finalizers: example.com/volume`, m.status().Message)

		m.cluster.remove(pod)
		m.cluster.create("storage", ready)
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
	})
}

func TestADeleteThatIsRefusedIsBlockedAndTriedAgain(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		var tries atomic.Int32

		m.cluster.onDelete = func(context.Context, core.Pod) error {
			if tries.Add(1) < 4 {
				return apierrors.NewForbidden(podResource, "cilium-1", errors.New("a webhook says no"))
			}

			return nil
		}

		m.cluster.create("cilium", leftover)
		m.up()
		assert.Equal(t, specs.PhaseDegraded, m.phase())
		assert.Equal(t, `kube-system/cilium: cannot delete cilium-1: pods "cilium-1" is forbidden: a webhook says no`, m.status().Message)
		assert.EqualValues(t, 1, tries.Load())

		after(35 * time.Second) // 5+10+20 s
		assert.EqualValues(t, 4, tries.Load())
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
	})
}

func TestAnAPIServerThatIsAwayIsNamedAndWaitedFor(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.away = errAway
		m.cluster.create("cilium", leftover)
		m.up()
		after(10 * time.Minute)

		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, errAway.Error(), m.status().Message)

		m.cluster.set(func() { m.cluster.away = nil })
		after(6 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestAnAPIServerThatGoesAwayInTheMiddleConcludesNothing(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.create("cilium", leftover)
		m.up()
		m.cluster.create("other", ready)
		m.cluster.set(func() { m.cluster.away = errAway })
		after(time.Hour)

		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
	})
}

func TestAKubeconfigThatCannotBeLoadedIsNamedAndWaitedFor(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.kubeError = errors.New(`failed to load kubeconfig "/etc/kubernetes/kubeconfig-kubelet": no such file or directory`)
		m.cluster.create("cilium", leftover)
		m.up()
		after(time.Minute)
		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, m.cluster.kubeError.Error(), m.status().Message)

		m.cluster.set(func() { m.cluster.kubeError = nil })
		after(6 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestNoMoreThanFourPodsAreDeletedAtATime(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		var now, most atomic.Int32

		m.cluster.onDelete = func(context.Context, core.Pod) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)

			return nil
		}

		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			m.cluster.create(name, leftover)
		}

		m.up()
		after(time.Second)
		assert.Len(t, m.cluster.deleted(), 10)
		assert.EqualValues(t, 4, most.Load())
	})
}

func TestANodeObjectThatIsGoneIsNotAPodThatIsGone(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", ready)
		m.up()
		m.cluster.set(func() { m.cluster.nodeGone = true })
		m.cluster.create("proxy", leftover)
		after(time.Minute)

		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, `nodes "worker-1" not found`, m.status().Message)
		assert.Zero(t, m.daemonSet("proxy").DeletedAt)
		assert.Empty(t, m.cluster.deleted())

		m.cluster.set(func() { m.cluster.nodeGone = false })
		after(10 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestADeleteThatEndsWithItsSessionIsCounted(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		// The answer is on its way when the kubeconfig changes, and arrives all the same.
		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error {
			<-ctx.Done()

			return nil
		}

		m.cluster.create("cilium", leftover)
		m.up()
		m.kubeconfig("second")
		after(time.Second)

		require.Len(t, m.cluster.deleted(), 1)
		assert.Equal(t, 1, m.daemonSet("cilium").Deleted)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
	})
}

func TestAWatchThatFailsAgainAndAgainIsPublishedOnce(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.watchError = errors.New("the server was unable to return the pods")
		m.up()
		after(10 * time.Second)
		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, m.cluster.watchError.Error(), m.status().Message)

		written := m.versions()
		after(10 * time.Minute)
		assert.Equal(t, written, m.versions())
	})
}

func TestAPanicIsAProblemAndNotTheEndOfMachined(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct{ call, message string }{
		{"connect", "panic: connect"},
		{"Node", "panic: Node"},
		{"WatchPods", "panic: WatchPods"},
		{"DeletePod", "kube-system/cilium: failed to delete cilium-1: panic: DeletePod"},
		{"RecordDeletion", "kube-system/cilium: replacement cilium-2 is Pending"},
		{"Close", "kube-system/cilium: replacement cilium-2 is Pending"},
	} {
		t.Run(tc.call, func(t *testing.T) {
			t.Parallel()

			boot(t, func(m *machine) {
				m.cluster.panics = tc.call
				m.cluster.create("cilium", leftover)
				m.up()
				assert.Equal(t, tc.message, m.status().Message)

				after(time.Second)
				assert.Len(t, m.cluster.deleted(), 1)

				m.cluster.become(t, "cilium", ready)
				after(10 * time.Second)
				assert.Equal(t, specs.PhaseRecovered, m.phase())
				assert.Empty(t, m.cluster.panics, "it has panicked")
			})
		})
	}
}

// broken is a runtime whose state cannot be read. The error is the one that COSI takes for a wish to end.
type broken struct{ controller.Runtime }

func (broken) EventCh() <-chan controller.ReconcileEvent { return nil }

func (broken) Get(context.Context, resource.Pointer, ...state.GetOption) (resource.Resource, error) {
	return nil, fmt.Errorf("failed to query: %w", context.Canceled)
}

func TestRunNeverEndsInAWayThatCOSIDoesNotStartAgain(t *testing.T) {
	t.Parallel()

	controllers, err := recovery.Controllers()
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())

	err = controllers[0].Run(ctx, broken{}, zaptest.NewLogger(t))
	require.ErrorContains(t, err, "failed to query")
	require.NotErrorIs(t, err, context.Canceled)

	cancel()
	require.NoError(t, controllers[0].Run(ctx, broken{}, zaptest.NewLogger(t)))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"errors"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestALeftoverIsDeletedAndFollowedUntilItsReplacementIsReady(t *testing.T) {
	boot(t, func(m *machine) {
		pod := m.upWith("cilium", leftover)

		assert.Equal(t, []string{pod.Name}, m.cluster.deleted())
		assert.Equal(t, []string{"cilium: left behind by a shutdown (NodeShutdown)"}, m.cluster.recorded())
		assert.Equal(t, specs.PhaseRecovering, m.phase())
		assert.Equal(t, "kube-system/cilium: replacement cilium-2 is Pending", m.status().Message)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)

		m.cluster.become(t, "cilium", ready)
		assert.Equal(t, specs.DaemonSetPhaseRecovered, m.daemonSet("cilium").Phase)
		assert.Equal(t, specs.PhaseRecovering, m.phase(), "the settle time has yet to pass")

		m.recovers()
		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
		assert.Equal(t, 12*time.Second, m.status().FinishedAt.Sub(m.status().StartedAt))
	})
}

func TestNothingIsAskedOfTheAPIServerBeforeTheKubeletIsHealthy(t *testing.T) {
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
	boot(t, func(m *machine) {
		m.cluster.bootID = "the boot before"
		m.upWith("cilium", leftover)
		after(time.Minute)

		assert.Equal(t, `waiting for the kubelet to register node "worker-1" in this boot`, m.status().Message)
		assert.Zero(t, m.cluster.watches())

		m.cluster.set(func() { m.cluster.bootID = bootID })
		after(6 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestANodeWithoutFailedPodsIsRecoveredAfterTheSettleTime(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", ready)
		after(11 * time.Second)
		assert.Equal(t, "no Failed DaemonSet pods; watching until nothing fails for 12s", m.status().Message)
		after(time.Second)

		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, "no Failed DaemonSet pods", m.status().Message)
	})
}

func TestTheWatchIsClosedOnceSettledAndNothingIsWrittenAnyMore(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", leftover)
		assert.Equal(t, 1, m.cluster.watches())

		m.cluster.become(t, "cilium", ready)
		after(12 * time.Second)
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

func TestAPodThatOptedOutIsLeftAlone(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", leftover, func(pod *core.Pod) { pod.OptedOut = true })
		after(12 * time.Second)

		assert.Empty(t, m.cluster.deleted())
		assert.Equal(t, specs.DaemonSetPhaseSkipped, m.daemonSet("cilium").Phase)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
	})
}

func TestAPodThatIsRejectedAgainAndAgainIsHandedBackAndHeals(t *testing.T) {
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
		m.recovers()
		assert.Zero(t, m.cluster.watches())
	})
}

func TestWhatIsLeftAloneIsForgottenWhenItIsGone(t *testing.T) {
	boot(t, func(m *machine) {
		pod := m.upWith("cilium", leftover, func(pod *core.Pod) { pod.OptedOut = true })
		require.Equal(t, specs.DaemonSetPhaseSkipped, m.daemonSet("cilium").Phase)
		require.Len(t, m.versions(), 2)

		m.cluster.remove(pod)
		after(time.Second)
		assert.Len(t, m.versions(), 1, "there is a status, and no DaemonSet")
		assert.Zero(t, m.status().Counts)
	})
}

// A machine that is being upgraded, say, has a kubelet that runs.
func TestAMachineThatDoesNotDoItsWorkIsLeftAlone(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.nodename(nodeName, false)
		m.kubeconfig("first")
		m.lifecycle()
		m.kubelet(true)

		for _, stage := range []runtime.MachineStage{
			runtime.MachineStageUnknown, runtime.MachineStageInstalling, runtime.MachineStageMaintenance, runtime.MachineStageRebooting,
			runtime.MachineStageShuttingDown, runtime.MachineStageResetting, runtime.MachineStageUpgrading,
		} {
			m.stage(stage)
			after(time.Minute)
			assert.Equal(t, "the machine is "+stage.String(), m.status().Message)
			assert.Zero(t, m.cluster.connections())
		}

		m.stage(runtime.MachineStageRunning)
		after(time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestAMachineThatDoesNotRegisterIsDisabled(t *testing.T) {
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

func TestAMachineWithoutKubernetesIsDisabled(t *testing.T) {
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
		m.upWith("cilium", leftover)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestTheClockMayBeSetWhileTheNodeSettles(t *testing.T) {
	t.Parallel()

	for name, by := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
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

				after(6 * time.Second)
				assert.Equal(t, specs.PhaseRecovering, m.phase())
				after(time.Second)
				assert.Equal(t, specs.PhaseRecovered, m.phase())
				assert.Equal(t, 12*time.Second, m.status().FinishedAt.Sub(m.status().StartedAt))
			}, recovery.WithClock(clock), recovery.WithBootTime(booted))
		})
	}
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
			boot(t, func(m *machine) {
				m.cluster.panics = tc.call
				m.upWith("cilium", leftover)
				assert.Equal(t, tc.message, m.status().Message)

				after(time.Second)
				assert.Len(t, m.cluster.deleted(), 1)

				m.cluster.become(t, "cilium", ready)
				m.recovers()
				assert.Empty(t, m.cluster.panics, "it has panicked")
			})
		})
	}
}

// A clock that is given as an option is called under a lock.
func TestAPanicInTheClockKeepsNoLock(t *testing.T) {
	var panicked atomic.Bool

	clock := func() time.Time {
		if strings.Contains(string(debug.Stack()), ".WatchPods(") && panicked.CompareAndSwap(false, true) {
			panic("clock")
		}

		return time.Now()
	}

	boot(t, func(m *machine) {
		m.upWith("cilium", leftover)
		assert.Equal(t, "panic: clock", m.status().Message)
		after(time.Second)

		assert.True(t, panicked.Load())
		assert.Len(t, m.cluster.deleted(), 1)
	}, recovery.WithClock(clock))
}

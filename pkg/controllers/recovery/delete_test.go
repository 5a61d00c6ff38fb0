// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// A webhook on deletes, behind the very kube-proxy that is stuck, takes its time before it is ignored.
func TestADeleteMayTakeAsLongAsAWebhookMay(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = takes(30 * time.Second)
		m.upWith("kube-proxy", leftover)
		after(time.Minute)

		assert.Equal(t, 1, m.cluster.tries())
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("kube-proxy").Phase)
	})
}

func TestADeleteThatFailsAgainAndAgainIsBlocked(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = fails(apierrors.NewInternalError(errors.New("failed calling webhook")))
		m.upWith("cilium", leftover)
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

func TestADeleteThatIsRefusedIsBlockedAndTriedAgain(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = fails(apierrors.NewForbidden(podResource, "cilium-1", errors.New("a webhook says no")))
		m.upWith("cilium", leftover)
		assert.Equal(t, specs.PhaseDegraded, m.phase())
		assert.Equal(t, `kube-system/cilium: cannot delete cilium-1: pods "cilium-1" is forbidden: a webhook says no`, m.status().Message)
		assert.Equal(t, 1, m.cluster.tries())

		after(34 * time.Second)
		assert.Equal(t, 3, m.cluster.tries())

		m.cluster.set(func() { m.cluster.onDelete = nil })
		after(time.Second) // 5+10+20 s
		assert.Equal(t, 4, m.cluster.tries())
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
	})
}

// The DaemonSet controller may be done with its back-off at the same time.
func TestAPodThatSomebodyElseDeletesFirstIsNoFailure(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = fails(apierrors.NewNotFound(podResource, "cilium-1"))
		pod := m.upWith("cilium", leftover)

		// The watch has yet to tell.
		after(5 * time.Second)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
		assert.Empty(t, m.daemonSet("cilium").LastError)
		assert.Equal(t, 1, m.cluster.tries())

		m.cluster.remove(pod)
		m.cluster.create("cilium", ready)
		m.recovers()
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
		assert.Equal(t, specs.Counts{Found: 1, Recovered: 1}, m.status().Counts)
		assert.Empty(t, m.cluster.recorded(), "it was not us")
	})
}

func TestAPodHeldByAFinalizerBlocksUntilItIsLetGo(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = func(_ context.Context, pod core.Pod) error {
			m.cluster.edit(pod, func(pod *core.Pod) { pod.Deleting = true })

			return errors.New("accepted, and waiting for its finalizers")
		}

		pod := m.upWith("storage", leftover, func(pod *core.Pod) { pod.Finalizers = []string{"example.com/volume"} })
		after(time.Hour)

		assert.Equal(t, specs.PhaseDegraded, m.phase())
		assert.Equal(t, `kube-system/storage: cannot delete storage-1: pod "storage-1" is held by finalizers: example.com/volume`, m.status().Message)

		m.cluster.remove(pod)
		m.cluster.create("storage", ready)
		m.recovers()
	})
}

func TestNoMoreThanFourPodsAreDeletedAtATime(t *testing.T) {
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

func TestAShutdownStopsADeleteUnderWayAtOnce(t *testing.T) {
	boot(t, func(m *machine) {
		var cancelled atomic.Bool

		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error {
			err := takes(time.Hour)(ctx, core.Pod{})
			cancelled.Store(errors.Is(err, context.Canceled))

			return err
		}

		m.upWith("cilium", leftover)

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

// The controller itself is told late, so that the look before each try is all there is.
func TestTheMachineIsLookedAtOnceMoreBeforeEveryTry(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		begin func(m *machine)
	}{
		{"when it begins to shut down", (*machine).shutsDown},
		{"when its kubelet stops", (*machine).kubeletStops},
		{"when it cannot be read", func(m *machine) {
			m.spy.set(func() { m.spy.onRead = func() error { return errors.New("the state cannot be read") } })
		}},
		{"when another machine has registered under its name", func(m *machine) {
			m.cluster.set(func() { m.cluster.bootID = "another" })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			boot(t, func(m *machine) {
				m.cluster.onDelete = func(context.Context, core.Pod) error {
					m.spy.set(func() { m.spy.deaf = true })
					tc.begin(m)

					return errors.New("etcdserver: request timed out")
				}

				m.upWith("cilium", leftover)
				after(5 * time.Second)

				assert.Equal(t, 1, m.cluster.tries())
			})
		})
	}
}

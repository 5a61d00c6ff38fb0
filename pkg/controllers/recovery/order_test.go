// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/talos-rebound/rebound/internal/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	daemonSetWrite = recoveryres.DaemonSetRecoveryType + "/kube-system/cilium"
	statusWrite    = recoveryres.RecoveryStatusType + "/" + recoveryres.RecoveryStatusID
)

// failWrite makes the nth write of that name fail, from 1 on.
func failWrite(name string, nth int) func(string) error {
	n := 0

	return func(written string) error {
		if written == name {
			if n++; n == nth {
				return errors.New("the state cannot be written")
			}
		}

		return nil
	}
}

func TestNothingIsDeletedThatIsNotOnRecord(t *testing.T) {
	t.Parallel()

	for _, name := range []string{daemonSetWrite, statusWrite} {
		t.Run(strings.SplitN(name, ".", 2)[0], func(t *testing.T) {
			t.Parallel()

			boot(t, func(m *machine) {
				m.cluster.create("cilium", leftover)
				m.up()
				m.stop()

				// What is on record says nothing of the pod that comes now.
				pod := m.cluster.create("cilium", leftover)
				m.spy.set(func() {
					m.spy.onWrite = func(written string) error {
						if written == name {
							return errors.New("the state cannot be written")
						}

						return nil
					}
				})
				m.start()
				after(time.Minute)
				assert.True(t, m.cluster.has(pod))

				m.spy.set(func() { m.spy.onWrite = nil })
				after(time.Minute)
				assert.False(t, m.cluster.has(pod))
			})
		})
	}
}

func TestTheNodeIsNotRecoveredBeforeItsDaemonSetsAre(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.up()

		before := len(m.spy.writes())
		m.cluster.become(t, "cilium", ready)
		after(time.Second)

		assert.Equal(t, []string{daemonSetWrite, statusWrite}, m.spy.writes()[before:])
	})
}

func TestADeleteIsCountedOnceThoughItCannotBePublishedAtFirst(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		write string
		nth   int
	}{
		// The first write counts the attempt, the second one the delete.
		{"as the record cannot be written", daemonSetWrite, 2},
		{"as the status cannot be written after the record", statusWrite, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			boot(t, func(m *machine) {
				m.cluster.onDelete = func(context.Context, core.Pod) error {
					m.spy.set(func() { m.spy.onWrite = failWrite(tc.write, max(tc.nth-1, 1)) })

					return nil
				}

				m.cluster.create("cilium", leftover)
				m.up()
				after(time.Minute)
				m.cluster.become(t, "cilium", ready)
				after(time.Minute)

				assert.Equal(t, 1, m.daemonSet("cilium").Deleted)
				assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
			})
		})
	}
}

func TestADeleteThatEndsInAShutdownIsCounted(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error {
			<-ctx.Done()

			return nil // the answer was on its way
		}

		m.cluster.create("cilium", leftover)
		m.up()
		m.shutsDown()
		after(time.Second)

		require.Len(t, m.cluster.deleted(), 1)
		assert.Equal(t, 1, m.daemonSet("cilium").Deleted, "nothing else wakes the controller")
	})
}

func TestADeleteIsCountedThoughTheNodeRecoversBeforeItsAnswer(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.recording = time.Second
		m.cluster.onDelete = func(ctx context.Context, _ core.Pod) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Minute):
				return nil
			}
		}

		pod := m.cluster.create("cilium", leftover)
		m.up()

		// Its effect is seen at once.
		m.cluster.edit(pod, func(pod *core.Pod) { pod.Deleting = true })
		m.cluster.create("cilium", ready)
		after(11 * time.Second)
		require.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, 1, m.cluster.watches())

		after(time.Minute)
		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
		assert.Len(t, m.cluster.recorded(), 1)
		assert.Zero(t, m.cluster.watches())
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
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			boot(t, func(m *machine) {
				var tries atomic.Int32

				m.cluster.onDelete = func(context.Context, core.Pod) error {
					if tries.Add(1) == 1 {
						m.spy.set(func() { m.spy.deaf = true })
						tc.begin(m)
					}

					return errors.New("etcdserver: request timed out")
				}

				m.cluster.create("cilium", leftover)
				m.up()
				after(5 * time.Second)

				assert.EqualValues(t, 1, tries.Load())
			})
		})
	}
}

// TestTheKubeletIsAskedBeforeEveryDelete has a shutdown of which only the kubelet tells: Talos' own resources come first.
func TestTheKubeletIsAskedBeforeEveryDelete(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		tries := 0

		m.cluster.onDelete = func(context.Context, core.Pod) error {
			tries++
			m.cluster.set(func() { m.cluster.shuttingDown = true })

			return errors.New("etcdserver: request timed out")
		}

		m.cluster.create("cilium", leftover)
		m.up()
		after(time.Minute)

		assert.Equal(t, 1, tries)
		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Contains(t, m.status().Message, "says that the node is shutting down")

		m.cluster.onDelete = nil
		m.cluster.set(func() { m.cluster.shuttingDown = false })
		after(5 * time.Second)

		assert.Len(t, m.cluster.deleted(), 1, "the shutdown was cancelled")
		assert.Equal(t, 1, m.cluster.connections(), "and the connection was good all the time")
	})
}

func TestAPodIsHeldUntilTheKubeletReports(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.up()
		after(time.Second)
		m.cluster.create("cilium", func(pod *core.Pod) { pod.Failed, pod.Reason = true, "Terminated" })
		after(20 * time.Second)
		require.Empty(t, m.cluster.deleted())

		m.cluster.set(func() { m.cluster.reportedAt = time.Now() })
		after(5 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)

		reads := m.cluster.nodeReads
		m.cluster.become(t, "cilium", ready)
		after(20 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, reads, m.cluster.nodeReads, "nobody needs the Node any more")
	})
}

func TestANewLifecycleIsANewStartOfTheKubelet(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.up()
		after(10 * time.Second)
		require.Equal(t, specs.PhaseRecovered, m.phase())
		m.stop()

		require.NoError(t, m.state.Destroy(m.t.Context(), k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata()))
		time.Sleep(time.Minute)
		m.lifecycle()

		m.start()
		after(time.Second)
		assert.Equal(t, specs.PhaseRecovering, m.phase())
		assert.Equal(t, 2, m.cluster.connections())
	})
}

func TestANewServiceIsANewStartOfTheKubeletThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()

	boot(t, func(m *machine) {
		m.spy.ahead = time.Hour
		m.up()
		after(10 * time.Second)
		require.Equal(t, specs.PhaseRecovered, m.phase())
		m.stop()

		time.Sleep(time.Minute)
		m.kubeletStops()
		m.kubelet(true)

		m.start()
		after(time.Second)
		assert.Equal(t, specs.PhaseRecovering, m.phase())
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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
	boot(t, func(m *machine) {
		m.upWith("cilium", leftover)

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

func TestADeleteThatEndsWithItsSessionIsCounted(t *testing.T) {
	t.Parallel()

	for name, end := range map[string]func(*machine){
		"as the kubeconfig changes": func(m *machine) { m.kubeconfig("second") },
		// Nothing else wakes the controller then.
		"as the machine shuts down": (*machine).shutsDown,
	} {
		t.Run(name, func(t *testing.T) {
			boot(t, func(m *machine) {
				m.cluster.onDelete = answersLate
				m.upWith("cilium", leftover)
				end(m)
				after(time.Second)

				require.Len(t, m.cluster.deleted(), 1)
				assert.Equal(t, 1, m.daemonSet("cilium").Deleted)
				assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("cilium").Phase)
			})
		})
	}
}

// Its node has another name by then, and nothing is on record any more.
func TestAnOutcomeWithoutARecordIsForgotten(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = answersLate
		m.upWith("cilium", leftover)
		m.nodename("worker-9", false)
		after(time.Second)
		require.Len(t, m.cluster.deleted(), 1)

		before := m.spy.wishes()
		m.kubeconfig("second")
		after(time.Second)
		assert.Equal(t, before, m.spy.wishes(), "the next session has nothing to tell when it ends")
	})
}

func TestADeleteIsCountedThoughTheNodeRecoversBeforeItsAnswer(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.recording = time.Second
		m.cluster.onDelete = takes(time.Minute)
		pod := m.upWith("cilium", leftover)

		// Its effect is seen at once.
		m.cluster.edit(pod, func(pod *core.Pod) { pod.Deleting = true })
		m.cluster.create("cilium", ready)
		after(13 * time.Second)
		require.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, 1, m.cluster.watches())

		after(time.Minute)
		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
		assert.Len(t, m.cluster.recorded(), 1)
		assert.Zero(t, m.cluster.watches())
	})
}

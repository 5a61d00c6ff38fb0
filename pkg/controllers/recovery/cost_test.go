// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// callsSince returns what was asked of the cluster since the last time.
func (m *machine) callsSince(before map[string]int) map[string]int {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()

	calls := map[string]int{}

	for call, n := range m.cluster.calls {
		if n > before[call] {
			calls[call] = n - before[call]
		}
	}

	maps.Copy(before, m.cluster.calls)

	return calls
}

// Each start of the kubelet costs another five DaemonSets their pods, until there are a hundred records of the past.
func TestARecoveryCostsTheSameWhateverCameBefore(t *testing.T) {
	const (
		daemonSets = 5
		recoveries = 20
	)

	boot(t, func(m *machine) {
		before := map[string]int{}

		m.up()
		m.recovers()
		m.callsSince(before)

		for i := range recoveries {
			m.kubeletStops()
			after(time.Second)

			name := func(k int) string { return fmt.Sprintf("daemon-%d-%d", i, k) }

			for k := range daemonSets {
				m.cluster.create(name(k), leftover)
			}

			m.kubelet(true)
			after(time.Second)

			for k := range daemonSets {
				m.cluster.become(t, name(k), ready)
			}

			m.recovers()

			calls := m.callsSince(before)
			assert.Equal(t, 1, calls["connect"])
			assert.Equal(t, 1, calls["WatchPods"])
			assert.Equal(t, daemonSets, calls["DeletePod"])
			assert.Equal(t, daemonSets, calls["RecordDeletion"])
			assert.LessOrEqual(t, calls["Node"], 1+daemonSets)
		}

		assert.Len(t, m.versions(), recoveries*daemonSets+1, "all of it is remembered")
	})
}

func TestARecoveredNodeAsksForNothing(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", leftover)
		m.cluster.become(t, "cilium", ready)
		after(time.Minute)
		require.Equal(t, specs.PhaseRecovered, m.phase())

		assert.Zero(t, m.cluster.watches())

		calls := map[string]int{}
		m.callsSince(calls)

		after(24 * time.Hour)
		m.cluster.create("cilium", func(pod *core.Pod) { pod.Failed = true })
		m.stage(runtime.MachineStageRunning)
		m.kubeconfig("second")
		after(24 * time.Hour)
		assert.Empty(t, m.callsSince(calls))
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// takeCalls returns what was asked of the cluster since the last time.
func (m *machine) takeCalls() map[string]int {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()

	calls := m.cluster.calls
	m.cluster.calls = map[string]int{}

	return calls
}

// Each start of the kubelet costs another five DaemonSets their pods, until there are a hundred records of the past.
func TestARecoveryCostsTheSameWhateverCameBefore(t *testing.T) {
	const (
		daemonSets = 5
		recoveries = 20
	)

	boot(t, func(m *machine) {
		m.up()
		m.recovers()
		m.takeCalls()

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

			calls := m.takeCalls()
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

		m.takeCalls()
		after(24 * time.Hour)
		m.cluster.create("cilium", func(pod *core.Pod) { pod.Failed = true })
		m.stage(runtime.MachineStageRunning)
		m.kubeconfig("second")
		after(24 * time.Hour)
		assert.Empty(t, m.takeCalls())
	}, recovery.WithNodeReport(specs.HostMachined))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestADaemonSetThatWantsNoPodHereAnyMoreIsReleased(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.upWith("old", leftover)
		after(time.Second)
		m.cluster.create("cilium", ready)

		after(5*time.Minute - 2*time.Second)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("old").Phase)
		after(time.Second)
		assert.Equal(t, specs.DaemonSetPhaseReleased, m.daemonSet("old").Phase)
		m.recovers()
		assert.Equal(t, "DaemonSets: 1 did not come back (kube-system/old)", m.status().Message)
	})
}

func TestADaemonSetThatDidNotComeBackIsLookedOutFor(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.upWith("quota", leftover)
		after(15*time.Minute + 12*time.Second)
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
		m.recovers()
		assert.Equal(t, "DaemonSets: 1 recovered", m.status().Message)
		assert.Zero(t, m.cluster.watches(), "nothing is missing any more")
	})
}

func TestAnOutageIsNoTimeInWhichAReplacementStaysAway(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.upWith("old", leftover)
		after(time.Second)
		m.cluster.create("cilium", ready)

		m.cluster.set(func() { m.cluster.away = errAway })
		after(time.Hour)
		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("old").Phase)

		m.cluster.set(func() { m.cluster.away = nil })
		after(time.Minute)
		assert.Equal(t, specs.DaemonSetPhaseReplacing, m.daemonSet("old").Phase)

		after(5 * time.Minute)
		assert.Equal(t, specs.DaemonSetPhaseReleased, m.daemonSet("old").Phase)
	})
}

func TestAControllerManagerThatIsAwayIsNotMistakenForARelease(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.upWith("cilium", leftover)

		after(10 * time.Minute)
		assert.Equal(t, specs.PhaseRecovering, m.phase())
		assert.Contains(t, m.status().Message, "is kube-controller-manager running?")

		m.cluster.create("cilium", ready)
		m.recovers()
		assert.Equal(t, specs.DaemonSetPhaseRecovered, m.daemonSet("cilium").Phase)
	})
}

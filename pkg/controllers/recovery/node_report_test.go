// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestTheNodeIsToldOnChangesOnly(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.nodename(nodeName, false)
		m.kubeconfig("first")
		after(time.Second)

		require.Len(t, m.cluster.reports, 1, "what is there survives a reboot, so the first report does not wait for the kubelet")
		assert.Equal(t, specs.NodeReport{Host: specs.HostMachined, BootID: bootID, Message: "waiting for the machine's stage"}, m.cluster.reports[0])

		m.up()
		after(2 * time.Second)
		m.cluster.become(t, "cilium", ready)
		after(time.Minute)
		require.Equal(t, specs.PhaseRecovered, m.phase())

		reports := m.cluster.reports
		assert.Equal(t, specs.PhaseRecovered, reports[len(reports)-1].Phase)
		assert.Less(t, len(reports), 7, "news within a second is one report: %v", reports)

		m.kubeconfig("second")
		after(time.Hour)
		assert.Len(t, m.cluster.reports, len(reports), "that was no news for the Node")
	}, recovery.WithNodeReport(specs.HostMachined))
}

// Three phases, three reports: the words in between are old before they could be read.
func TestAQuickRecoveryIsToldInThreeReports(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.cluster.create("proxy", leftover)
		m.nodename(nodeName, false)
		m.kubeconfig("first")
		after(time.Second)
		m.up()
		after(2 * time.Second)
		m.cluster.become(t, "proxy", ready)
		after(time.Second)
		m.cluster.become(t, "cilium", ready)
		m.recovers()
		after(time.Hour)

		phases := make([]specs.Phase, 0, 3)
		for _, report := range m.cluster.reports {
			phases = append(phases, report.Phase)
		}

		assert.Equal(t, []specs.Phase{specs.PhaseWaiting, specs.PhaseRecovering, specs.PhaseRecovered}, phases)
	}, recovery.WithNodeReport(specs.HostMachined))
}

func TestAReportIsTriedAgain(t *testing.T) {
	t.Parallel()

	for name, fail := range map[string]func(*cluster){
		"when the API server was away": func(c *cluster) { c.away = errAway },
		"after a panic":                func(c *cluster) { c.panics = "ReportRecovery" },
	} {
		t.Run(name, func(t *testing.T) {
			boot(t, func(m *machine) {
				m.cluster.set(func() { fail(m.cluster) })
				m.up()
				after(time.Minute)
				m.cluster.set(func() { m.cluster.away = nil })
				after(time.Minute)

				require.NotEmpty(t, m.cluster.reports)
				assert.Equal(t, specs.PhaseRecovered, m.cluster.reports[len(m.cluster.reports)-1].Phase)
			}, recovery.WithNodeReport(specs.HostMachined))
		})
	}
}

func TestAMachineWithoutANodeReportsNothing(t *testing.T) {
	boot(t, func(m *machine) {
		m.kubeconfig("first")
		m.nodename(nodeName, true)
		after(time.Minute)
		require.Equal(t, specs.PhaseDisabled, m.phase())
		assert.Empty(t, m.cluster.reports)
	}, recovery.WithNodeReport(specs.HostMachined))
}

func TestWithoutTheOptionTheNodeIsLeftAlone(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		after(time.Minute)
		assert.Empty(t, m.cluster.reports)
	})
}

func TestAHostIsOneOfTwo(t *testing.T) {
	t.Parallel()

	_, err := recovery.Controllers(recovery.WithNodeReport("systemd"))
	require.ErrorContains(t, err, `host "systemd" is neither "machined" nor "agent"`)
}

// A recovery is slow when the API server is busy. It must not be kept so by words about it.
func TestWordsAboutOnePhaseAreReportedMoreAndMoreSeldom(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", leftover)
		after(2 * time.Second)

		news := map[string]bool{}

		for i := range 100 {
			m.cluster.create(fmt.Sprintf("daemon-%d", i), leftover)
			after(time.Second)
			require.Equal(t, specs.PhaseRecovering, m.phase())

			news[m.status().Message] = true
		}

		require.Greater(t, len(news), 50, "there was too little to tell")

		var reports []specs.NodeReport

		m.cluster.set(func() { reports = slices.Clone(m.cluster.reports) })

		recovering := 0

		for _, report := range reports {
			if report.Phase == specs.PhaseRecovering {
				recovering++
			}
		}

		assert.Equal(t, 3, recovering, "after 0, 20 and 60 s")

		// The last words are told though nothing follows them.
		after(time.Minute)
		assert.Equal(t, m.status().Message, m.cluster.reports[len(m.cluster.reports)-1].Message)
	}, recovery.WithNodeReport(specs.HostMachined))
}

func TestAReportThatTookLongIsFollowedByFewer(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.reporting = 2 * time.Second

		m.upWith("cilium", leftover)
		after(3 * time.Second)

		for i := range 100 {
			m.cluster.create(fmt.Sprintf("daemon-%d", i), leftover)
			after(time.Second)
		}

		m.cluster.mu.Lock()
		reports := len(m.cluster.reports)
		m.cluster.mu.Unlock()

		assert.LessOrEqual(t, reports, 2, "an API server that takes two seconds for a report is asked for no other one so soon")

		after(4 * time.Minute)
		assert.Equal(t, m.status().Message, m.cluster.reports[len(m.cluster.reports)-1].Message)
	}, recovery.WithNodeReport(specs.HostMachined))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	thisBoot    = "0b9e7b5c-5f0e-4d8b-9a6e-3f1d2c4b5a69"
	earlierBoot = "7c1d8f4a-2a63-4b1f-8d0c-9e8f7a6b5c4d"
)

// finished is when the node of a report had recovered.
var finished = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// reported is a report of an agent.
func reported(bootID string, phase specs.Phase, message string) specs.NodeReport {
	report := specs.NodeReport{Host: specs.HostAgent, BootID: bootID, Phase: phase, Message: message}
	if phase == specs.PhaseRecovered {
		report.FinishedAt = finished
	}

	return report
}

// TestANodeObjectPassesForItsBootAlone is about what must not pass: a report of another boot, or of a node that is down.
func TestANodeObjectPassesForItsBootAlone(t *testing.T) {
	t.Parallel()

	var (
		back      = reported(thisBoot, specs.PhaseRecovered, "DaemonSets: 1 recovered").String()
		backThen  = reported(earlierBoot, specs.PhaseRecovered, "DaemonSets: 1 recovered").String()
		known     = check.Boot{ID: thisBoot}
		after     = check.Boot{Since: finished.Add(-time.Minute)}
		before    = check.Boot{Since: finished}
		shutdown  = errors.New("its Node is not Ready: node is shutting down")
		timeless  = `{"host":"agent","bootID":"` + thisBoot + `","phase":"recovered"}`
		degraded  = "kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers"
		replacing = "kube-system/cilium: waiting for the replacement of cilium-x7k2p"
	)

	for name, tc := range map[string]struct {
		object  check.Object
		verdict check.Status
		reason  string
	}{
		"no report": {check.Object{Boot: known}, check.StatusSkipped, "it is without rebound"},

		"of this boot":                          {check.Object{Report: back, Boot: known}, check.StatusPassed, "DaemonSets: 1 recovered"},
		"of an earlier boot":                    {check.Object{Report: backThen, Boot: known}, check.StatusWaiting, "its report is of an earlier boot"},
		"of an earlier boot, finished later":    {check.Object{Report: backThen, Boot: check.Boot{ID: thisBoot, Since: finished.Add(-time.Minute)}}, check.StatusWaiting, "its report is of an earlier boot"},
		"of this boot, finished before":         {check.Object{Report: back, Boot: check.Boot{ID: thisBoot, Since: finished}}, check.StatusPassed, "DaemonSets: 1 recovered"},
		"of this boot, and the node goes down":  {check.Object{Report: back, Boot: known, NotReady: shutdown}, check.StatusWaiting, "its Node is not Ready: node is shutting down"},
		"of a boot without id":                  {check.Object{Report: back}, check.StatusWaiting, "its report may be of an earlier boot"},
		"finished in this boot":                 {check.Object{Report: back, Boot: after}, check.StatusPassed, "DaemonSets: 1 recovered"},
		"finished in this boot, and goes down":  {check.Object{Report: back, Boot: after, NotReady: shutdown}, check.StatusWaiting, "its Node is not Ready: node is shutting down"},
		"finished before this boot":             {check.Object{Report: back, Boot: before}, check.StatusWaiting, "its report may be of an earlier boot"},
		"finished at no time":                   {check.Object{Report: timeless, Boot: after}, check.StatusWaiting, "its report may be of an earlier boot"},
		"finished at no time, but of this boot": {check.Object{Report: timeless, Boot: known}, check.StatusPassed, "recovered"},

		"replacing": {
			check.Object{Report: reported(thisBoot, specs.PhaseRecovering, replacing).String(), Boot: known}, check.StatusWaiting, replacing,
		},
		"replacing in some boot": {
			check.Object{Report: reported(thisBoot, specs.PhaseRecovering, replacing).String(), NotReady: shutdown}, check.StatusWaiting, replacing,
		},
		"degraded": {
			check.Object{Report: reported(thisBoot, specs.PhaseDegraded, degraded).String(), Boot: known}, check.StatusFailing, degraded,
		},
		"degraded in an earlier boot": {
			check.Object{Report: reported(earlierBoot, specs.PhaseDegraded, degraded).String(), Boot: known}, check.StatusWaiting, "its report is of an earlier boot",
		},

		"disabled, though there is a Node": {
			check.Object{Report: reported(thisBoot, specs.PhaseDisabled, "").String(), Boot: known}, check.StatusWaiting, "its report cannot be read",
		},
		"no JSON": {check.Object{Report: "recovered", Boot: known}, check.StatusWaiting, "its report cannot be read"},
		"a phase of somebody else": {
			check.Object{Report: `{"phase":"\u001b[2J` + strings.Repeat("x", 1000) + `"}`, Boot: known}, check.StatusWaiting, "its report cannot be read",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tc.object.Name = "worker-2"
			verdict := check.Judge([]check.Answer{tc.object.Answer(check.Node{Name: "worker-2"})})

			assert.Equal(t, tc.verdict, verdict.Status)
			assert.Equal(t, tc.reason, verdict.Nodes[0].Reason)
		})
	}
}

func TestANodeObjectAnswersWithWhatItsReportSays(t *testing.T) {
	t.Parallel()

	report := reported(thisBoot, specs.PhaseRecovered, "DaemonSets: 1 recovered")
	node := check.Node{Address: "10.5.0.2"}

	assert.Equal(t, check.Answer{
		Node: node, Outcome: check.OutcomeStatus, Report: &report,
		Status: &recovery.RecoveryStatusSpec{
			BootID: thisBoot, NodeName: "worker-2", Phase: specs.PhaseRecovered, Message: "DaemonSets: 1 recovered", FinishedAt: finished,
		},
	}, check.Object{Name: "worker-2", Report: report.String(), Boot: check.Boot{ID: thisBoot}}.Answer(node))
}

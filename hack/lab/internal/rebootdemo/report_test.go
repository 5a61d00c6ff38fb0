// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/rebootdemo"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// told is a run as it should be: the control planes one after the other, then the budget is freed, then the worker.
// change may spoil it.
func told(change func(seen []lab.NodeSight) []lab.NodeSight) rebootdemo.Result {
	var seen []lab.NodeSight

	for _, name := range rebootdemo.NodeNames() {
		seen = append(seen, lab.NodeSight{At: at(-10), Node: name, BootID: firstBoot, Ready: true})
	}

	for i, name := range rebootdemo.NodeNames() {
		for _, o := range []lab.NodeSight{
			says(1, cordoned, firstBoot), says(2, cordonedAway, firstBoot), says(4, cordoned, secondBoot), says(10, ready, secondBoot),
		} {
			o.Node, o.At = name, o.At.Add(at(20*i).Sub(asked))
			seen = append(seen, o)
		}
	}

	waits := []rebootdemo.Wait{
		{At: at(0), Node: "worker-a", Reason: "Blocked", Message: "pod <database>"},
		{At: at(0), Node: "control-plane-c", Reason: "NoSlot"},
	}

	if change != nil {
		seen = change(seen)
		slices.SortStableFunc(seen, func(a, b lab.NodeSight) int { return a.At.Compare(b.At) })
	}

	return rebootdemo.NewResult(seen, waits, asked, at(60), at(75))
}

func TestReportHasTheFormThatScriptsRead(t *testing.T) {
	t.Parallel()

	stuck := told(func(seen []lab.NodeSight) []lab.NodeSight { return seen[:5] })
	report := rebootdemo.Report{
		Result: told(nil),
		Peers:  []rebootdemo.Peer{{Name: "kured", Version: "1.23.0", Flags: []string{"--period=20s"}, Result: stuck}},
	}

	text, err := report.JSON()
	require.NoError(t, err)

	assert.JSONEq(t, `{
		"nodes": [
			{"node": "control-plane-a", "role": "control-plane", "rebooted": true, "secondsToReboot": 4, "secondsCordoned": 9, "reason": ""},
			{"node": "control-plane-b", "role": "control-plane", "rebooted": true, "secondsToReboot": 24, "secondsCordoned": 9, "reason": ""},
			{"node": "control-plane-c", "role": "control-plane", "rebooted": true, "secondsToReboot": 44, "secondsCordoned": 9, "reason": "NoSlot"},
			{"node": "worker-a", "role": "worker", "rebooted": true, "secondsToReboot": 64, "secondsCordoned": 9, "reason": "Blocked: pod <database>"}
		],
		"invariants": {"maxUnavailableSeen": 0, "foreignCordonsRemoved": 0, "deletesPastBudget": 0},
		"peers": [{
			"name": "kured", "version": "1.23.0", "flags": ["--period=20s"],
			"nodes": [
				{"node": "control-plane-a", "role": "control-plane", "rebooted": false, "secondsToReboot": null, "secondsCordoned": 74, "reason": ""},
				{"node": "control-plane-b", "role": "control-plane", "rebooted": false, "secondsToReboot": null, "secondsCordoned": 0, "reason": ""},
				{"node": "control-plane-c", "role": "control-plane", "rebooted": false, "secondsToReboot": null, "secondsCordoned": 0, "reason": "NoSlot"},
				{"node": "worker-a", "role": "worker", "rebooted": false, "secondsToReboot": null, "secondsCordoned": 0, "reason": "Blocked: pod <database>"}
			],
			"invariants": {"maxUnavailableSeen": 0, "foreignCordonsRemoved": 0, "deletesPastBudget": 0}
		}]
	}`, string(text))

	var back rebootdemo.Report

	require.NoError(t, json.Unmarshal(text, &back))
	require.NoError(t, report.Check(), "what others fail to do is no reason to fail")
}

func TestCheckRefusesWhatTheStoryMustNotHave(t *testing.T) {
	t.Parallel()

	type observations = []lab.NodeSight

	for _, tc := range []struct {
		name   string
		change func(seen observations) observations
		says   string
	}{
		{"a node that is not rebooted", func(seen observations) observations { return seen[:len(seen)-4] }, "worker-a could go and was not rebooted within 75.0 s: Blocked: pod <database>"},
		{"a control plane that waits for the budget", func(seen observations) observations {
			seen = append(append(seen[:12:12], seen[16:]...), seen[12:16]...)
			for i := range seen[16:] {
				seen[16+i].At = at(62 + i)
			}

			return seen
		}, "control-plane-c was rebooted only after the budget of another node was freed"},
		{"a worker that goes past its budget", func(seen observations) observations {
			for i := range seen[16:] {
				seen[16+i].At = at(51 + i)
			}

			return seen
		}, "worker-a was rebooted before its budget was freed"},
		{"a worker that is late", func(seen observations) observations {
			for i := range seen[16:] {
				seen[16+i].At = at(66 + i)
			}

			return seen
		}, "worker-a was rebooted 8.0 s after its budget was freed, more than 5.0 s"},
		{"a worker that is cordoned for nothing", func(seen observations) observations {
			tried := says(52, cordoned, firstBoot)
			restored := says(54, ready, firstBoot)

			return append(append(seen[:16:16], tried, restored), seen[16:]...)
		}, "worker-a was cordoned for 2.0 s while its budget allowed nothing"},
		{"a node that is not given back", func(seen observations) observations { return seen[:len(seen)-1] }, "worker-a was not given back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			run := told(tc.change)

			assert.ErrorContains(t, run.Check(), tc.says)
		})
	}
}

func TestCheckRefusesABrokenInvariant(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		invariants rebootdemo.Invariants
		says       string
	}{
		{rebootdemo.Invariants{MaxUnavailableSeen: 2}, "2 nodes were unavailable at the same time"},
		{rebootdemo.Invariants{ForeignCordonsRemoved: 1}, "1 cordons were removed that somebody else had set"},
		{rebootdemo.Invariants{DeletesPastBudget: 3}, "3 pods were deleted past their budget"},
	} {
		run := told(nil)
		run.Invariants = tc.invariants

		assert.ErrorContains(t, run.Check(), tc.says)
	}

	run := told(nil)
	run.Invariants.MaxUnavailableSeen = 1
	assert.NoError(t, run.Check())
}

func TestPageIsSelfContainedAndEscapesWhatItIsTold(t *testing.T) {
	t.Parallel()

	report := rebootdemo.Report{Result: told(nil)}

	page, err := report.Page()
	require.NoError(t, err)

	assert.Empty(t, regexp.MustCompile(`(?i)(src|href)=|url\(|@import`).FindAll(page, -1))
	assert.NotContains(t, string(page), "pod <database>")
	assert.NotContains(t, string(page), "ZgotmplZ", "a value that the template does not trust")
	assert.Contains(t, string(page), `class="down" style="left:2.67%;width:2.67%"`)
}

func TestTableNamesEveryNodeAndWhyItWaited(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer

	report := rebootdemo.Report{Result: told(nil)}
	require.NoError(t, report.WriteTable(&out))

	assert.Regexp(t, `worker-a +0\.0 +61\.0 +64\.0 +9\.0 +Blocked: pod <database>`, out.String())
	assert.Contains(t, out.String(), "4 of 4 rebooted, 3 of them before the budget was freed at 60.0 s; worker-a in another boot 4.0 s after that; 0 evictions refused; 0 unavailable at a time")
}

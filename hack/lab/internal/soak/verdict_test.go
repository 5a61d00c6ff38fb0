// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
)

// seen is a ledger with observations each second: n of them.
func seen(n int, at func(second int) soak.Observation) *soak.Ledger {
	ledger := soak.NewLedger("agent-a")

	for second := range n {
		observation := at(second)
		observation.At = began.Add(time.Duration(second) * time.Second)
		ledger.See(observation)
	}

	return ledger
}

// calm is everybody's, from the second on.
func calm(second int) map[string]time.Time {
	since := began.Add(time.Duration(second) * time.Second)

	return map[string]time.Time{"": since, "agent-a": since, "stock-a": since}
}

var (
	failed = []soak.FailedPod{{UID: "1", Name: "proxy-1", Node: "agent-a", Reason: "NodeShutdown"}}
	stock  = []soak.FailedPod{{UID: "2", Name: "proxy-2", Node: "stock-a", Reason: "NodeShutdown"}}
)

func TestVerdictFindsEachKindOfFailure(t *testing.T) {
	t.Parallel()

	quiet := func(int) soak.Observation { return soak.Observation{} }

	for _, tc := range []struct {
		name     string
		evidence soak.Evidence
		says     string // empty for nothing
		is       func(verdict soak.Verdict) []string
	}{
		{name: "nothing", evidence: soak.Evidence{Ledger: seen(100, quiet), Cordoned: 2, Slots: 2, Ended: true}},
		{
			name: "a wrong delete", evidence: soak.Evidence{Ledger: seen(1, quiet), Audit: []string{"the pod is Running"}},
			says: "the pod is Running", is: func(verdict soak.Verdict) []string { return verdict.WrongDeletes },
		},
		{
			name: "a pod that stays Failed",
			evidence: soak.Evidence{Ledger: seen(100, func(second int) soak.Observation {
				if second > 90 {
					return soak.Observation{}
				}

				return soak.Observation{Failed: failed, Calm: calm(0)}
			}), Ended: true},
			says: `pod "proxy-1" on agent-a (NodeShutdown) was Failed for more than 30s with nothing in the way`,
			is:   func(verdict soak.Verdict) []string { return verdict.StuckPods },
		},
		{name: "a pod that stays Failed on a stock node", evidence: soak.Evidence{Ledger: seen(100, func(int) soak.Observation {
			return soak.Observation{Failed: stock, Calm: calm(0)}
		}), Ended: true}},
		{name: "a pod that stays Failed while a fault is on", evidence: soak.Evidence{Ledger: seen(100, func(int) soak.Observation {
			return soak.Observation{Failed: failed}
		})}},
		{name: "a pod that is Failed for a moment after a fault", evidence: soak.Evidence{Ledger: seen(100, func(int) soak.Observation {
			return soak.Observation{Failed: failed, Calm: calm(80)}
		})}},
		{
			name: "a pod that is Failed at the end",
			evidence: soak.Evidence{Ledger: seen(2, func(int) soak.Observation {
				return soak.Observation{Failed: failed, Calm: calm(0)}
			}), Ended: true},
			says: `pod "proxy-1" on agent-a (NodeShutdown) is Failed at the end`,
			is:   func(verdict soak.Verdict) []string { return verdict.StuckPods },
		},
		{
			name: "a node that lacks a pod at the end", evidence: soak.Evidence{Ledger: seen(1, quiet), Lacking: []string{"agent-a: missing: proxy"}, Ended: true},
			says: "agent-a: missing: proxy", is: func(verdict soak.Verdict) []string { return verdict.StuckPods },
		},
		{name: "a node that lacks a pod on the way", evidence: soak.Evidence{Ledger: seen(1, quiet), Lacking: []string{"agent-a: missing: proxy"}}},
		{
			name: "a cordon that nobody works on",
			evidence: soak.Evidence{Ledger: seen(100, func(int) soak.Observation {
				return soak.Observation{Marked: []string{"agent-a"}, Calm: calm(0)}
			})},
			says: "agent-a bore the mark of a cordon for more than 30s with no reboot in work",
			is:   func(verdict soak.Verdict) []string { return verdict.CordonsLeft },
		},
		{name: "a cordon while the coordinator is disturbed", evidence: soak.Evidence{Ledger: seen(100, func(int) soak.Observation {
			return soak.Observation{Marked: []string{"agent-a"}}
		})}},
		{name: "a cordon of a reboot in work", evidence: soak.Evidence{Ledger: seen(100, func(int) soak.Observation {
			return soak.Observation{Marked: []string{"agent-a"}, InWork: []string{"agent-a"}, Calm: calm(0)}
		})}},
		{
			name: "a cordon at the end",
			evidence: soak.Evidence{Ledger: seen(1, func(int) soak.Observation {
				return soak.Observation{Marked: []string{"agent-a"}}
			}), Ended: true},
			says: "agent-a bears the mark of a cordon at the end",
			is:   func(verdict soak.Verdict) []string { return verdict.CordonsLeft },
		},
		{
			name: "a slot at the end",
			evidence: soak.Evidence{Ledger: seen(1, func(int) soak.Observation {
				return soak.Observation{Holders: []string{"agent-a"}}
			}), Ended: true},
			says: "agent-a holds a slot at the end",
			is:   func(verdict soak.Verdict) []string { return verdict.CordonsLeft },
		},
		{
			name: "a reboot in work at the end",
			evidence: soak.Evidence{Ledger: seen(1, func(int) soak.Observation {
				return soak.Observation{InWork: []string{"agent-a"}}
			}), Ended: true},
			says: "the reboot of agent-a is in work at the end",
			is:   func(verdict soak.Verdict) []string { return verdict.CordonsLeft },
		},
		{
			name: "too many cordons", evidence: soak.Evidence{Ledger: seen(1, quiet), Cordoned: 3},
			says: "3 nodes were cordoned at a time, of which 2 were allowed",
			is:   func(verdict soak.Verdict) []string { return verdict.BudgetExceeded },
		},
		{
			name: "too many slots", evidence: soak.Evidence{Ledger: seen(1, quiet), Slots: 3},
			says: "3 nodes held a slot at a time, of which 2 were allowed",
			is:   func(verdict soak.Verdict) []string { return verdict.BudgetExceeded },
		},
		{
			name: "a process that grows",
			evidence: soak.Evidence{Ledger: seen(1, quiet), Processes: map[string][]soak.Life{
				"agent-a": {{Began: began, Samples: rising(soak.Handles)}},
			}},
			says: "agent-a: file handles over life 1: 39, then 99 (up to 53 is flat)",
			is:   func(verdict soak.Verdict) []string { return verdict.Growing },
		},
		{
			name: "a process that was never measured", evidence: soak.Evidence{Ledger: seen(1, quiet), Expected: []string{"agent-a"}, Ended: true},
			says: "agent-a: was never measured", is: func(verdict soak.Verdict) []string { return verdict.Growing },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			verdict := soak.Judge(tc.evidence)

			for _, findings := range [][]string{verdict.WrongDeletes, verdict.StuckPods, verdict.CordonsLeft, verdict.BudgetExceeded, verdict.Growing} {
				assert.NotNil(t, findings, "an empty list in the report, not none")
			}

			if tc.says == "" {
				assert.True(t, verdict.Passed(), verdict)

				return
			}

			assert.False(t, verdict.Passed())
			assert.Equal(t, []string{tc.says}, tc.is(verdict))
			assert.Contains(t, verdict.String(), " 1")
		})
	}
}

// rising are samples of which one measure grows.
func rising(measure soak.Measure) []soak.Sample {
	samples := life(began, 100, func(int) float64 { return 1 }).Samples

	for i := range samples {
		samples[i].Usage[measure] = float64(i)
	}

	return samples
}

func TestLateIsSaidOnceForEachPod(t *testing.T) {
	t.Parallel()

	ledger := seen(200, func(int) soak.Observation { return soak.Observation{Failed: failed, Calm: calm(0)} })

	assert.Len(t, ledger.Stuck, 1)
}

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

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// daemonSetCase is about one DaemonSet; its name goes on after "a DaemonSet".
type daemonSetCase struct {
	name  string
	edits []edit
	after time.Duration // how much later than now
	want  want
}

// want is the decision about the one DaemonSet of a case, and about the node.
type want struct {
	phase   specs.DaemonSetPhase
	deletes int
	node    specs.Phase
	message string
	again   time.Duration // LookAgain, counted from now; 0 for never
}

func deletesNow(reason string) want {
	return want{specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (" + reason + ")", 0}
}

func putsOff(reason, until string, again time.Duration) want {
	return want{
		specs.DaemonSetPhasePending, 0, specs.PhaseRecovering,
		id + ": cilium-old is Failed (" + reason + "); to be deleted at " + until, again,
	}
}

func isBlocked(words string, again time.Duration) want {
	return want{specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded, id + ": cannot delete cilium-old: " + words, again}
}

func handsBack(reason string) want {
	return want{
		specs.DaemonSetPhaseExhausted, 0, specs.PhaseDegraded,
		id + ": cilium-old failed again after 10 deletes (" + reason + "); left to the DaemonSet controller", 0,
	}
}

func awaits(again time.Duration) want {
	return want{specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", again}
}

func asksForTheController(again time.Duration) want {
	return want{
		specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering,
		id + ": no pod has replaced cilium-old, and no DaemonSet has created one here since: is kube-controller-manager running?", again,
	}
}

func isReplacedBy(status string) want {
	return want{specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": replacement cilium-new is " + status, 0}
}

func settles(again time.Duration) want {
	return want{
		specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
		"DaemonSets: 1 recovered; watching until nothing fails for 12s", again,
	}
}

func releases(again time.Duration) want {
	return want{
		specs.DaemonSetPhaseReleased, 0, specs.PhaseRecovering,
		"DaemonSets: 1 did not come back (" + id + "); watching until nothing fails for 12s", again,
	}
}

func testDaemonSet(t *testing.T, cases []daemonSetCase) {
	t.Helper()

	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := recovery.Plan(facts(tc.edits...), now.Add(tc.after))
			require.Contains(t, decision.DaemonSets, id)

			rec := decision.DaemonSets[id]
			got := want{rec.Phase, len(deletes(decision)), decision.Status.Phase, decision.Status.Message, 0}

			if !decision.LookAgain.IsZero() {
				got.again = decision.LookAgain.Sub(now)
			}

			assert.Equal(t, tc.want, got)

			if rec.Phase == specs.DaemonSetPhaseRecovered {
				assert.Equal(t, "cilium-new", rec.Replacement)
				assert.Equal(t, "uid-cilium", rec.UID)
			}
		})
	}
}

func TestADaemonSetWithAFailedPod(t *testing.T) {
	t.Parallel()

	left := pods(leftover())

	testDaemonSet(t, []daemonSetCase{
		{
			"with a leftover is pending, and its pod is deleted",
			[]edit{left},
			0, deletesNow("NodeShutdown"),
		},
		{
			"whose pod is being deleted is not deleted twice",
			[]edit{left, record(attempted(nil)), func(f *recovery.Facts) { f.InFlight = map[string]bool{"uid-old": true} }},
			0,
			want{specs.DaemonSetPhasePending, 0, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (NodeShutdown)", 0},
		},
		{
			"whose delete succeeded is replacing, even while the pod can still be seen",
			[]edit{left, record(attempted(nil)), outcome(recovery.ResultDeleted, "")},
			0, awaits(30 * time.Second),
		},
		{
			"whose delete succeeded is deleted once more if the pod is still there half a minute later",
			[]edit{left, record(deleted(0))},
			30 * time.Second, deletesNow("NodeShutdown"),
		},
		{
			"whose pod somebody else deleted first is replacing",
			[]edit{record(attempted(nil)), outcome(recovery.ResultGone, "")},
			0, awaits(2 * time.Minute),
		},
		{
			"whose pod somebody else deleted first is replacing, even while it can still be seen",
			[]edit{left, record(attempted(nil)), outcome(recovery.ResultGone, "")},
			0, awaits(30 * time.Second),
		},
		{
			"whose pod vanished while the delete was not yet due is replacing",
			[]edit{record(specs.DaemonSetRecovery{UID: "uid-cilium", FailedPod: "cilium-old", FailedPodUID: "uid-old", NextAttemptAt: now.Add(time.Hour)})},
			0, awaits(2 * time.Minute),
		},
		{
			"whose delete was refused is blocked with the server's words and tried again later",
			[]edit{left, record(attempted(nil)), outcome(recovery.ResultRefused, "pods is forbidden")},
			0, isBlocked("pods is forbidden", 5*time.Second),
		},
		{
			"whose delete is refused again and again waits longer each time",
			[]edit{
				left, outcome(recovery.ResultRefused, "no"),
				record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Failures = 3 })),
			},
			0, isBlocked("no", 40*time.Second),
		},
		{
			"that is blocked stays so while the delete is tried again",
			[]edit{left, record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.Failures, rec.LastError, rec.NextAttemptAt = specs.DaemonSetPhaseBlocked, 1, "no", now
			}))},
			0,
			want{specs.DaemonSetPhaseBlocked, 1, specs.PhaseDegraded, id + ": cannot delete cilium-old: no", 0},
		},
		{
			"whose delete failed is pending with the error and tried again soon",
			[]edit{left, record(attempted(nil)), outcome(recovery.ResultFailed, "timeout")},
			0,
			want{specs.DaemonSetPhasePending, 0, specs.PhaseRecovering, id + ": failed to delete cilium-old: timeout", time.Second},
		},
		{
			"whose delete has failed three times in a row is blocked with the words, and tried again",
			[]edit{
				left, outcome(recovery.ResultFailed, "failed calling webhook"),
				record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Failures, rec.LastError = 2, "failed calling webhook" })),
			},
			0, isBlocked("failed calling webhook", 4*time.Second),
		},
		{
			"that is blocked stays so if the next try fails in another way",
			[]edit{
				left, outcome(recovery.ResultFailed, "timeout"),
				record(attempted(func(rec *specs.DaemonSetRecovery) {
					rec.Phase, rec.Failures, rec.LastError = specs.DaemonSetPhaseBlocked, 1, "no"
				})),
			},
			0, isBlocked("timeout", 2*time.Second),
		},
		{
			"whose delete was abandoned when the gate closed is tried again, but not at once",
			[]edit{left, record(attempted(nil)), outcome(recovery.ResultAbandoned, "")},
			0, putsOff("NodeShutdown", "03:01:01", time.Second),
		},
		{
			"with two Failed pods has them deleted one after the other",
			[]edit{pods(leftover(), podOf("cilium", "cilium-other", because("Terminated"), sinceBoot(-time.Minute)))},
			0, deletesNow("NodeShutdown"),
		},
	})
}

func TestTheSecondFailedPodWaitsForItsTurn(t *testing.T) {
	t.Parallel()

	second := podOf("cilium", "cilium-second", because("Terminated"), sinceBoot(-time.Minute))
	decision := recovery.Plan(facts(pods(leftover(), second)), now)

	require.Len(t, decision.Verdicts, 2)
	assert.Equal(t, recovery.Verdict{
		Pod: second, Class: recovery.ClassLeftover, Action: recovery.ActionWait,
		Reason: "left behind by a shutdown (Terminated); cilium-old comes first",
	}, decision.Verdicts[1])
}

func TestADaemonSetThatFailsAgainAndAgain(t *testing.T) {
	t.Parallel()

	rejected := failed(because("UnexpectedAdmissionError"), sinceBoot(time.Minute))

	testDaemonSet(t, []daemonSetCase{
		{
			"rejected for the first time is deleted at once",
			[]edit{pods(rejected), record(specs.DaemonSetRecovery{})},
			0, deletesNow("UnexpectedAdmissionError"),
		},
		{
			"rejected for the second time waits a second",
			[]edit{pods(rejected), record(rejections(1))},
			0, putsOff("UnexpectedAdmissionError", "03:01:01", time.Second),
		},
		{
			"rejected for the second time is deleted after that second",
			[]edit{pods(rejected), record(rejections(1))},
			time.Second, deletesNow("UnexpectedAdmissionError"),
		},
		{
			"rejected for the tenth time waits 256 seconds",
			[]edit{pods(rejected), record(rejections(9))},
			255 * time.Second, putsOff("UnexpectedAdmissionError", "03:05:16", 256*time.Second),
		},
		{
			"rejected for the tenth time is tried again if its delete failed",
			[]edit{pods(rejected), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Attempts, rec.Rejections, rec.Failures, rec.LastError, rec.NextAttemptAt = 10, 10, 1, "timeout", now
			}))},
			0,
			want{specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": failed to delete cilium-old: timeout", 0},
		},
		{
			"rejected for the eleventh time is exhausted for good",
			[]edit{pods(rejected), record(rejections(10))},
			time.Hour, handsBack("UnexpectedAdmissionError"),
		},
		{
			"rejected for the eleventh time is recovered beside a Ready pod, as maxSurge gives it",
			[]edit{pods(rejected, replacement(true, "Running")), record(rejections(10))},
			0, settles(12 * time.Second),
		},
		{
			"with a leftover beside a pod that was handed back has the leftover deleted",
			[]edit{
				pods(rejected, podOf("cilium", "cilium-left", because("Terminated"))),
				record(func() specs.DaemonSetRecovery {
					rec := rejections(10)
					rec.Phase, rec.FailedPodUID, rec.AttemptedAt = specs.DaemonSetPhaseExhausted, rejected.UID, time.Time{}

					return rec
				}()),
			},
			time.Hour,
			want{specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-left, which is Failed (Terminated)", 0},
		},
		{
			"rejected for the eleventh time is exhausted beside a pod that is not Ready",
			[]edit{pods(rejected, replacement(false, "Pending")), record(rejections(10))},
			0, handsBack("UnexpectedAdmissionError"),
		},
		{
			"with the eleventh leftover has it deleted at once",
			[]edit{pods(failed(because("Terminated"))), record(leftovers(10))},
			0, deletesNow("Terminated"),
		},
		{
			"with the hundred and first leftover has it deleted a second after the one before",
			[]edit{pods(failed(because("Terminated"))), record(leftovers(100))},
			0, putsOff("Terminated", "03:01:01", time.Second),
		},
		{
			"with the thousandth leftover has it deleted all the same",
			[]edit{pods(failed(because("Terminated"))), record(leftovers(999))},
			time.Second, deletesNow("Terminated"),
		},
		{
			"that was exhausted recovers when the DaemonSet controller got it through",
			[]edit{pods(replacement(true, "Running")), record(func() specs.DaemonSetRecovery {
				rec := rejections(10)
				rec.Phase, rec.AttemptedAt, rec.DeletedAt = specs.DaemonSetPhaseExhausted, time.Time{}, time.Time{}

				return rec
			}())},
			0, settles(12 * time.Second),
		},
		{
			"that shuts its pods down over and over without a reboot is exhausted as well",
			[]edit{pods(leftover(sinceBoot(time.Minute))), record(rejections(10))},
			time.Hour, handsBack("NodeShutdown"),
		},
		{
			"with a leftover is deleted at once however often its pods were rejected",
			[]edit{pods(leftover()), record(rejections(10))},
			0, deletesNow("NodeShutdown"),
		},
	})
}

func TestADaemonSetThatIsLeftAlone(t *testing.T) {
	t.Parallel()

	testDaemonSet(t, []daemonSetCase{
		{
			"that opted out is skipped and holds nothing up",
			[]edit{pods(leftover(func(p *recovery.Pod) { p.OptedOut = true }))},
			12 * time.Second,
			want{specs.DaemonSetPhaseSkipped, 0, specs.PhaseRecovered, "DaemonSets: 1 opted out", 0},
		},
		{
			"with an evicted pod is unrelated and holds nothing up",
			[]edit{pods(failed(because("Evicted"), sinceBoot(time.Second)))},
			12 * time.Second,
			want{specs.DaemonSetPhaseUnrelated, 0, specs.PhaseRecovered, "DaemonSets: 1 failed for another reason", 0},
		},
		{
			"whose replacement was evicted is unrelated from then on",
			[]edit{pods(podOf("cilium", "cilium-new", because("Evicted"), sinceBoot(time.Second))), record(deleted(time.Second))},
			12 * time.Second,
			want{specs.DaemonSetPhaseUnrelated, 0, specs.PhaseRecovered, "DaemonSets: 1 failed for another reason", 0},
		},
		{
			"whose evicted pod is gone is followed again, as its pods were ours once",
			[]edit{record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.AttemptedAt = specs.DaemonSetPhaseUnrelated, time.Time{}
			}))},
			0, awaits(2 * time.Minute),
		},
	})
}

func TestAnOutcomeOfAPodThatIsKnownToBeGoneIsCountedOnly(t *testing.T) {
	t.Parallel()

	for name, phase := range map[string]specs.DaemonSetPhase{
		"recovered": specs.DaemonSetPhaseRecovered, "released": specs.DaemonSetPhaseReleased, "replacing": specs.DaemonSetPhaseReplacing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			was := attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = phase, now.Add(-time.Second), now.Add(-time.Second)
			})
			f := facts(record(was), recovered(), outcome(recovery.ResultDeleted, ""))
			want := was
			want.Deleted = 1

			if phase == specs.DaemonSetPhaseReplacing {
				underWay()(&f)

				want.FinishedAt = time.Time{}
			}

			decision := recovery.Plan(f, now)
			assert.Equal(t, want, decision.DaemonSets[id])
			assert.Equal(t, 1, decision.Status.Counts.Deleted)
		})
	}
}

func TestAnOutcomeOfAnotherPodIsCountedOnly(t *testing.T) {
	t.Parallel()

	f := facts(record(attempted(nil)), func(f *recovery.Facts) { f.InFlight = map[string]bool{"uid-old": true} }, pods(leftover()))
	want := recovery.Plan(f, now).DaemonSets[id]

	for result, counted := range map[recovery.Result]int{recovery.ResultDeleted: 1, recovery.ResultRefused: 0} {
		f.Outcomes = []recovery.Outcome{{DaemonSet: id, PodUID: "uid-before", Result: result}}
		want.Deleted = counted

		assert.Equal(t, want, recovery.Plan(f, now).DaemonSets[id])
	}
}

func TestAnOutcomeWithoutARecordMakesNone(t *testing.T) {
	t.Parallel()

	f := facts(outcome(recovery.ResultDeleted, ""), gate(func(g *recovery.Gate) { g.KubeletHealthy = false }))

	assert.Empty(t, recovery.Plan(f, now).DaemonSets)
}

// A DaemonSet with maxSurge can leave any number of pods behind in one shutdown.
func TestAllLeftoversAreDeletedTheLaterOnesSlowly(t *testing.T) {
	t.Parallel()

	const left = 130

	f := facts(underWay())
	for i := range left {
		f.Link.Pods = append(f.Link.Pods, podOf("cilium", fmt.Sprintf("cilium-%03d", i), because("NodeShutdown")))
	}

	at, deleted := now, 0

	for deleted < left {
		decision := recovery.Plan(f, at)
		f.Status, f.DaemonSets, f.Outcomes = decision.Status, decision.DaemonSets, nil

		for _, pod := range deletes(decision) {
			deleted++
			f.Link.Pods = slices.DeleteFunc(f.Link.Pods, func(p recovery.Pod) bool { return p.UID == pod.UID })
			f.Outcomes = append(f.Outcomes, recovery.Outcome{DaemonSet: id, PodUID: pod.UID})
		}

		if len(f.Outcomes) == 0 {
			require.True(t, decision.LookAgain.After(at), "nothing is deleted and nothing is waited for: %s", decision.Status.Message)
			at = decision.LookAgain
		}
	}

	assert.Equal(t, now.Add((left-recovery.LeftoverBurst)*time.Second), at)
	assert.Equal(t, left, f.DaemonSets[id].Attempts)
}

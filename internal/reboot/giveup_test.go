// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/reboot"
)

func TestTheBackOffDoublesFromAMinuteToAnHour(t *testing.T) {
	t.Parallel()

	delays := make([]time.Duration, 0, 9)

	for failed := range cap(delays) {
		next := testPlan(t, given{in("a", reboot.PhaseRestoring, 0), node("a", restored), status(func(s *reboot.Status) {
			s.FailedAttempts, s.Reason = failed, reboot.ReasonBlocked
		})}, "Pending Blocked, finalizer, slot ua/1 Restoring")

		assert.Equal(t, failed+1, next.Status.FailedAttempts)

		delays = append(delays, next.Status.NextAttemptAt.Sub(now))
	}

	const m = time.Minute

	assert.Equal(t, []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, 60 * m, 60 * m, 60 * m}, delays)
}

func TestWhatAnAdministratorDecidesDoesNotPutANodeOff(t *testing.T) {
	t.Parallel()

	for reason, counts := range map[reboot.Reason]bool{
		reboot.ReasonNodeMissing: false, reboot.ReasonDeleted: false, reboot.ReasonSuspended: false, reboot.ReasonWithdrawn: true,
		reboot.ReasonNoBudget: false, reboot.ReasonPaused: false, reboot.ReasonNoPolicy: true, reboot.ReasonPolicyInvalid: false,
		reboot.ReasonPolicyChanged: true, reboot.ReasonNotBefore: false, reboot.ReasonOutsideWindow: false, reboot.ReasonQuorum: true,
		reboot.ReasonBlocked: true, reboot.ReasonCordonLifted: true, reboot.ReasonGateClosed: true, reboot.ReasonNodeLeaving: true,
		reboot.ReasonDoNotDisrupt: true, reboot.ReasonNoAgent: true, reboot.ReasonNoTalosAPI: true,
	} {
		next := reboot.Plan(facts(in("a", reboot.PhaseRestoring, 0), node("a", restored), status(func(s *reboot.Status) {
			s.Reason = reason
		})), now).Reboots["a"]

		assert.Equal(t, counts, next.Status.FailedAttempts == 1, reason)
		assert.Equal(t, counts, !next.Status.NextAttemptAt.IsZero(), reason)
	}
}

func TestResultsAreKept(t *testing.T) {
	t.Parallel()

	old := make([]reboot.Result, 5)
	for i := range old {
		old[i] = reboot.Result{Message: string(rune('1' + i))}
	}

	next := reboot.Plan(facts(in("a", reboot.PhaseRestoring, time.Minute), node("a", restored), status(func(s *reboot.Status) {
		s.Reason, s.Message, s.Results = reboot.ReasonBlocked, "pod shop/web", old
	})), now).Reboots["a"]

	assert.Equal(t, append([]reboot.Result{{
		Reason: reboot.ReasonBlocked, Message: "pod shop/web", StartedAt: now.Add(-time.Minute), FinishedAt: now,
	}}, old[:4]...), next.Status.Results)
	assert.Equal(t, "1", old[0].Message)

	done := reboot.Plan(facts(in("a", reboot.PhaseBack, time.Minute), settled(time.Minute), node("a", func(n *reboot.Node) {
		restored(n)
	}), status(func(s *reboot.Status) { s.FailedAttempts = 3 })), now).Reboots["a"]

	assert.Equal(t, []reboot.Result{{
		Rebooted: true, Reason: reboot.ReasonRebooted, Message: "rebooted, and back in boot a2",
		StartedAt: now.Add(-time.Minute), FinishedAt: now,
	}}, done.Status.Results)
	assert.Zero(t, done.Status.FailedAttempts)
	assert.True(t, done.Status.SettledSince.IsZero())
}

func TestANewAttemptForgetsTheLastOne(t *testing.T) {
	t.Parallel()

	next := testPlan(t, given{holds("a"), asks("a", func(r *reboot.Reboot) {
		r.Finalizer = true
		r.Status = reboot.Status{
			Phase: reboot.PhasePending, Reason: reboot.ReasonBackOff, FailedAttempts: 1, NextAttemptAt: now, BootID: "a0",
			BlockedBy: []reboot.BlockingPod{{Name: "web"}}, Steps: []reboot.Step{{Phase: reboot.PhaseGranted, At: now.Add(-time.Hour)}},
			SettledSince: now,
		}
	})}, "Cordoned Draining, finalizer, slot ua/1 Pending")

	assert.Equal(t, reboot.Status{
		Phase: reboot.PhaseCordoned, Reason: reboot.ReasonDraining, Message: "the node is being cordoned", Policy: "all",
		RequestedAt: now.Add(-time.Hour), BootID: "a1", Attempt: 1, FailedAttempts: 1,
		Steps: []reboot.Step{{Phase: reboot.PhaseCordoned, At: now}},
	}, next.Status)
}

func TestANewRequestForgetsWhatHappenedToTheLastOne(t *testing.T) {
	t.Parallel()

	rebooted := []reboot.Result{{Rebooted: true, FinishedAt: now.Add(-2 * time.Hour)}}
	next := testPlan(t, given{asks("a", func(r *reboot.Reboot) {
		r.RequestedAt = now
		r.Status = reboot.Status{
			Phase: reboot.PhaseDone, Reason: reboot.ReasonRebooted, RequestedAt: r.Created, Attempt: 3, BootID: "a0", Results: rebooted,
			Steps: []reboot.Step{{Phase: reboot.PhaseDone, At: now}},
		}
	})}, "Pending Next, slot ua/4 Pending")

	assert.Equal(t, reboot.Status{
		Phase: reboot.PhasePending, Reason: reboot.ReasonNext, Message: "it takes a slot", Policy: "all", Place: 1,
		RequestedAt: now, Attempt: 3, Results: rebooted,
	}, next.Status)
}

func TestARequestInTheMiddleIsFulfilledByTheRebootThatFollows(t *testing.T) {
	t.Parallel()

	anew := asks("a", func(r *reboot.Reboot) { r.RequestedAt = now })

	// It was asked for before the machine went down, so it counts.
	for _, phase := range []reboot.Phase{reboot.PhaseDrained, reboot.PhaseGranted} {
		next := reboot.Plan(facts(in("a", phase, 0), anew, node("a", func(n *reboot.Node) {
			if phase == reboot.PhaseGranted {
				n.BootID = "a2"
			}
		})), now).Reboots["a"]
		assert.Equal(t, now, next.Status.RequestedAt)
	}

	// Asked for while it comes back, it is another one.
	next := reboot.Plan(facts(in("a", reboot.PhaseBack, time.Minute), settled(time.Minute), node("a", restored), anew), now).Reboots["a"]
	assert.Equal(t, reboot.PhaseDone, next.Status.Phase)
	assert.Equal(t, now.Add(-time.Hour), next.Status.RequestedAt)
}

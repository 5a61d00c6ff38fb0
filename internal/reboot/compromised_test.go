// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// lies draws what a node can write about itself with its own identity, which is all that these facts have of it but whether
// it is a control plane: NodeRestriction keeps nodes from those labels, and from taints.
func lies(t *rapid.T) func(*reboot.Node) {
	word := rapid.SampledFrom([]string{"", "a1", "a2", "ua", "ub", "ua/0", "ua/1", "ub/1", "b1", "unknown", "\x1b[2J"})
	policies := rapid.SampledFrom([][]string{nil, {"all"}, {"other"}, {"all", "other"}})
	yes := rapid.Bool()

	lie := reboot.Node{
		BootID: word.Draw(t, "boot"), HeartbeatAt: now.Add(time.Hour), Ready: yes.Draw(t, "ready"),
		Conditions: map[string]string{"EtcdIsVoter": word.Draw(t, "voter")}, Unschedulable: yes.Draw(t, "unschedulable"),
		CordonMark: word.Draw(t, "mark"), RestoredMark: word.Draw(t, "restored"), GrantUID: word.Draw(t, "grant"),
		GrantBootID: word.Draw(t, "granted boot"), Talos: yes.Draw(t, "talos"), Policies: policies.Draw(t, "labels"),
		Kept:     rapid.SampledFrom([]string{"", "karpenter.sh/do-not-disrupt"}).Draw(t, "kept"),
		Agent:    reboot.Agent{BootID: word.Draw(t, "agent"), Wanted: yes.Draw(t, "wanted"), Problem: word.Draw(t, "problem")},
		Recovery: reboot.Recovery{BootID: word.Draw(t, "recovery"), Over: yes.Draw(t, "over")},
	}

	return func(n *reboot.Node) { *n = lie }
}

var phases = []reboot.Phase{
	reboot.PhaseNone, reboot.PhasePending, reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted, reboot.PhaseBack,
	reboot.PhaseDone, reboot.PhaseRestoring,
}

// TestALyingNodeDoesNothingToOthers has node a lie while b wants nothing and c waits. Whatever a says, nothing is done to b,
// and c goes as if a were not there, or waits for the one slot that a has or for a as a node that is down.
func TestALyingNodeDoesNothingToOthers(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		given := given{
			node("b", func(*reboot.Node) {}), asks("c"), talosAPI,
			func(f *reboot.Facts) {
				f.Policies = append(f.Policies, reboot.Policy{Name: "other", Priority: 100, MaxUnavailable: reboot.Limit{Count: 9}})
			},
		}

		alone := reboot.Plan(facts(append(given, noNode, func(f *reboot.Facts) { delete(f.Reboots, "a") })...), now).Reboots["c"]

		if phase := rapid.SampledFrom(phases).Draw(t, "phase"); phase == reboot.PhaseNone {
			given = append(given, func(f *reboot.Facts) { delete(f.Reboots, "a") })
		} else {
			given = append(given, in("a", phase, rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "for")),
				asks("a", func(r *reboot.Reboot) { r.FromNode = true }))
		}

		decision := reboot.Plan(facts(append(given, node("a", lies(t)))...), now)

		assert.NotContains(t, decision.Reboots, "b")
		assert.NotContains(t, decision.Strays, "b")
		assert.NotContains(t, decision.Strays, "c")
		assert.NotContains(t, decision.Holders, "b")
		assert.LessOrEqual(t, len(decision.Holders), 1, "one slot is all that there is")

		for _, wish := range decision.Wishes {
			assert.Equal(t, "a", wish.Node)
		}

		next := decision.Reboots["c"]
		next.Status.Place = alone.Status.Place

		if next.Status.Reason == reboot.ReasonNoSlot {
			assert.Contains(t, []string{
				"the RebootBudget allows 1 at a time: a is being rebooted", "the RebootBudget allows 1 at a time: a is next",
				"the RebootBudget allows 1 at a time: a is not Ready", "the RebootBudget allows 1 at a time: a is cordoned",
			}, next.Status.Message)

			next.Status.Reason, next.Status.Message = alone.Status.Reason, alone.Status.Message
		}

		assert.Equal(t, alone, next)
	})
}

// TestANodeThatFlapsIsNotAlwaysTheFirst has a node that asked before all others end its attempt by what it can do itself. The
// other one, which has failed before, is next.
func TestANodeThatFlapsIsNotAlwaysTheFirst(t *testing.T) {
	t.Parallel()

	for reason, flap := range map[reboot.Reason]func(*reboot.Facts){
		reboot.ReasonWithdrawn:     asks("a", func(r *reboot.Reboot) { r.FromNode = true }),
		reboot.ReasonNoPolicy:      node("a", func(n *reboot.Node) { n.Policies = nil }),
		reboot.ReasonPolicyChanged: node("a", func(n *reboot.Node) { n.Policies = []string{"other"} }),
		reboot.ReasonCordonLifted:  node("a", func(n *reboot.Node) { n.Unschedulable = false }),
		reboot.ReasonDoNotDisrupt:  node("a", func(n *reboot.Node) { n.Kept = "karpenter.sh/do-not-disrupt" }),
		reboot.ReasonNoAgent:       node("a", func(n *reboot.Node) { n.Agent.Problem = "none of your business" }),
	} {
		other := func(f *reboot.Facts) {
			f.Policies = append(f.Policies, reboot.Policy{Name: "other", Drain: reboot.Drain{Timeout: time.Minute}})
		}

		gives := reboot.Plan(facts(in("a", reboot.PhaseCordoned, time.Minute), other, flap), now).Reboots["a"]
		assert.Equal(t, reboot.PhaseRestoring, gives.Status.Phase)
		assert.Equal(t, reason, gives.Status.Reason)

		waits := reboot.Plan(facts(in("a", reboot.PhaseRestoring, 0), node("a", restored), status(func(s *reboot.Status) {
			s.Reason, s.Steps = reason, gives.Status.Steps
		})), now).Reboots["a"]

		decision := reboot.Plan(facts(
			asks("a", func(r *reboot.Reboot) {
				r.Status, r.FromNode = waits.Status, true
				if reason == reboot.ReasonWithdrawn {
					r.RequestedAt = now // as is done about its new wish
				}
			}),
			node("a", func(n *reboot.Node) { n.Agent.Wanted = true }),
			asks("b", func(r *reboot.Reboot) { r.Created, r.Status.FailedAttempts = now, 1 }),
		), now)

		assert.Contains(t, decision.Holders, "b", reason)
		assert.NotContains(t, decision.Holders, "a", reason)
		assert.Equal(t, reboot.ReasonBackOff, decision.Reboots["a"].Status.Reason, reason)
	}
}

// TestANodeThatGrantsItselfHasNoSlot has a node write what only the coordinator should, before it begins and once it has a
// slot.
func TestANodeThatGrantsItselfHasNoSlot(t *testing.T) {
	t.Parallel()

	for _, forged := range []func(*reboot.Node){
		func(n *reboot.Node) { n.GrantUID, n.GrantBootID = "ua", "a1" },
		func(n *reboot.Node) { n.GrantUID = "unknown" },
		func(n *reboot.Node) { n.Unschedulable, n.CordonMark = true, "ua/1" },
	} {
		testPlan(t, given{node("a", forged)}, "Pending Next, strays a")

		next := testPlan(t, given{holds("a"), asks("a", func(r *reboot.Reboot) { r.Finalizer = true }), node("a", forged)},
			"Pending Next, slot ua/1 Pending, strays a")
		assert.Equal(t, 1, next.Status.Attempt, "which gives the slot back")
		assert.Equal(t, now.Add(time.Minute), next.Status.NextAttemptAt)

		waits := testPlan(t, given{holds("a"), asks("a", func(r *reboot.Reboot) { r.Status = next.Status })}, "Pending BackOff")
		assert.Contains(t, waits.Status.Message, "what an earlier attempt has left is being removed")
	}
}

// TestAWithdrawnWishKeepsBackOffAndCooldown has a node withdraw its wish, which would have the NodeReboot deleted and with it
// what is known of the past.
func TestAWithdrawnWishKeepsBackOffAndCooldown(t *testing.T) {
	t.Parallel()

	rebooted := func(ago time.Duration) func(*reboot.Facts) {
		return asks("a", func(r *reboot.Reboot) {
			r.FromNode = true
			r.Status.Results = []reboot.Result{{Rebooted: true, FinishedAt: now.Add(-ago)}}
		})
	}
	backsOff := func(until time.Time) func(*reboot.Facts) {
		return asks("a", func(r *reboot.Reboot) { r.FromNode, r.Status.NextAttemptAt = true, until })
	}
	wants := node("a", func(n *reboot.Node) { n.Agent.Wanted = true })
	unselected := node("a", func(n *reboot.Node) { n.Policies = nil })

	next := testPlan(t, given{rebooted(59 * time.Minute)}, "Pending Withdrawn")
	assert.Equal(t, "the node no longer wants a reboot; kept until 2026-03-02T12:01:00Z for its back-off or cooldown", next.Status.Message)

	testPlan(t, given{rebooted(59 * time.Minute), unselected}, "Pending Withdrawn")
	testPlan(t, given{rebooted(59 * time.Minute), wants}, "Pending Cooldown")
	testPlan(t, given{rebooted(time.Hour)}, "Pending Withdrawn, withdrawn a")
	testPlan(t, given{backsOff(now.Add(time.Second))}, "Pending Withdrawn")
	testPlan(t, given{backsOff(now)}, "Pending Withdrawn, withdrawn a")

	assert.Equal(t, now.Add(time.Minute), reboot.Plan(facts(rebooted(59*time.Minute)), now).LookAgain)
}

// TestAWishAfterAWithdrawnOneIsAskedForAnew has a node want a reboot again while the NodeReboot of its last wish is kept: the
// new one has its own reason and age, and is not rid of the back-off.
func TestAWishAfterAWithdrawnOneIsAskedForAnew(t *testing.T) {
	t.Parallel()

	kept := func(r *reboot.Reboot) {
		r.FromNode = true
		r.Status = reboot.Status{
			Phase: reboot.PhasePending, Reason: reboot.ReasonWithdrawn, Message: "was withdrawn", RequestedAt: r.Created,
			FailedAttempts: 1, NextAttemptAt: now.Add(time.Second),
		}
	}
	wants := node("a", func(n *reboot.Node) { n.Agent.Wanted, n.Agent.Reason = true, "another kernel" })
	all := given{asks("a", kept), wants}

	next := testPlan(t, all, "Pending Withdrawn, wish aua")
	assert.Equal(t, "was withdrawn", next.Status.Message, "the status is written for the new request alone")
	assert.Equal(t, []reboot.Wish{{Node: "a", Reason: "another kernel", At: now, UID: "ua"}}, reboot.Plan(facts(all...), now).Wishes)

	asked := asks("a", func(r *reboot.Reboot) { r.RequestedAt = now })
	waits := testPlan(t, append(all[:2:2], asked), "Pending BackOff")
	assert.Equal(t, 1, waits.Status.FailedAttempts)

	testPlan(t, append(all[:2:2], func(f *reboot.Facts) {
		r := f.Reboots["a"]
		r.Created, r.Status.RequestedAt = now, now
		f.Reboots["a"] = r
	}), "Pending BackOff")
}

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

// cordoned is a cordon of somebody else.
func cordoned(n *reboot.Node) { n.Unschedulable = true }

func notReady(n *reboot.Node) { n.Ready = false }

func atATime(limit int) func(*reboot.Facts) {
	return budget(func(b *reboot.Budget) { b.MaxUnavailable = limit })
}

func ofThePolicy(limit reboot.Limit) func(*reboot.Facts) {
	return policy(func(p *reboot.Policy) { p.MaxUnavailable = limit })
}

// nodes makes workers without a NodeReboot.
func nodes(names ...string) func(*reboot.Facts) {
	return func(f *reboot.Facts) {
		for _, name := range names {
			node(name, func(*reboot.Node) {})(f)
		}
	}
}

func TestASlot(t *testing.T) {
	t.Parallel()

	const takes, none = "it takes a slot", "the RebootBudget allows 1 at a time: "

	for _, tc := range []struct {
		name    string
		facts   given
		message string
	}{
		{"is free", given{nodes("b", "c")}, takes},
		{"is held from before the cordon on", given{holds("b")}, none + "b is being rebooted"},
		{"is held while a node is given back", given{in("b", reboot.PhaseRestoring, 0)}, none + "b is being rebooted"},
		{"is free once a node is done", given{in("b", reboot.PhaseDone, 0), node("b", uncordoned)}, takes},
		{"is counted for a node that is not Ready", given{node("b", notReady)}, none + "b is not Ready"},
		{"is counted for a node that somebody has cordoned", given{node("b", cordoned)}, none + "b is cordoned"},
		{
			"is counted once for a holder that is down",
			given{in("b", reboot.PhaseGranted, 0), node("b", notReady), atATime(2), ofThePolicy(reboot.Limit{Count: 2})},
			takes,
		},
		{"is not counted for the node that asks", given{node("a", cordoned)}, takes},
		{
			"is not counted for a node without a policy",
			given{node("b", func(n *reboot.Node) { n.Ready, n.Policies = false, nil })},
			takes,
		},
		{
			"is one of the policy as well",
			given{in("b", reboot.PhaseBack, 0), atATime(2)},
			"RebootPolicy all allows 1 at a time: b is being rebooted",
		},
		{
			"of a policy is counted for a node that has left it since",
			given{in("b", reboot.PhaseBack, 0), node("b", func(n *reboot.Node) { n.Policies = nil }), atATime(2)},
			"RebootPolicy all allows 1 at a time: b is being rebooted",
		},
		{
			"of another policy does not count for this one",
			given{
				in("b", reboot.PhaseBack, 0), atATime(2), node("b", func(n *reboot.Node) { n.Policies = []string{"other"} }),
				budget(func(b *reboot.Budget) { b.Holders["b"] = reboot.Holder{UID: "ub", Attempt: 1, Policy: "other"} }),
				func(f *reboot.Facts) { f.Policies = append(f.Policies, reboot.Policy{Name: "other"}) },
			},
			takes,
		},
		{
			"is counted in percent of the nodes of the policy, rounded down",
			given{nodes("c", "d", "e"), node("b", notReady), atATime(9), ofThePolicy(reboot.Limit{Percent: 59})},
			takes,
		},
		{
			"in percent ends where it should",
			given{nodes("d", "e"), node("b", notReady), node("c", notReady), atATime(9), ofThePolicy(reboot.Limit{Percent: 59})},
			"RebootPolicy all allows 2 at a time: b is not Ready, c is not Ready",
		},
		{"in percent is never less than one", given{nodes("b", "c"), ofThePolicy(reboot.Limit{Percent: 1})}, takes},
		{"of a policy is never less than one", given{ofThePolicy(reboot.Limit{})}, takes},
		{
			"names three and counts the rest",
			given{node("b", notReady), node("c", notReady), node("d", notReady), node("e", notReady), node("f", notReady)},
			none + "b is not Ready, c is not Ready, d is not Ready and 2 more",
		},
		{
			"is not given to two who ask at once",
			given{asks("_")},
			none + "_ is being rebooted",
		},
		{
			"is kept for one that comes first and is being checked",
			given{talosAPI, asks("_"), node("_", func(n *reboot.Node) { n.Talos = true })},
			none + "_ is next",
		},
		{
			"is counted once for one that is being checked and cordoned",
			given{
				talosAPI, asks("_"), node("_", func(n *reboot.Node) { n.Talos, n.Unschedulable = true, true }),
				atATime(2), ofThePolicy(reboot.Limit{Count: 2}),
			},
			takes,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := reboot.Plan(facts(tc.facts...), now)
			assert.Equal(t, tc.message, decision.Reboots["a"].Status.Message)

			_, holds := decision.Holders["a"]
			assert.Equal(t, tc.message == takes, holds)
		})
	}
}

// TestTheBudget has who goes on holding a slot.
func TestTheBudget(t *testing.T) {
	t.Parallel()

	holder := func(uid string, attempt int) func(*reboot.Facts) {
		return budget(func(b *reboot.Budget) {
			b.Holders["a"] = reboot.Holder{UID: uid, Attempt: attempt, Policy: "all", Since: now, Step: reboot.PhasePending}
		})
	}
	suspended := asks("a", func(r *reboot.Reboot) { r.Suspend = true })
	attempts := func(n int) func(*reboot.Facts) { return status(func(s *reboot.Status) { s.Attempt = n }) }

	for _, tc := range []struct {
		name  string
		facts given
		want  map[string]reboot.Holder
	}{
		{"keeps a slot for the attempt that is to come", given{holder("ua", 1)}, map[string]reboot.Holder{
			"a": {UID: "ua", Attempt: 1, Policy: "all", Since: now, Step: reboot.PhasePending},
		}},
		{"takes a slot back whose attempt is on record as ended", given{suspended, holder("ua", 1), attempts(1)}, map[string]reboot.Holder{}},
		{"does not take a slot back for an attempt before that", given{suspended, holder("ua", 2), attempts(1)}, map[string]reboot.Holder{
			"a": {UID: "ua", Attempt: 2, Policy: "all", Since: now, Step: reboot.PhasePending},
		}},
		{"takes a slot back from an object that is gone", given{suspended, holder("u0", 1)}, map[string]reboot.Holder{}},
		{
			"takes a slot back without a NodeReboot",
			given{holder("ua", 1), func(f *reboot.Facts) { delete(f.Reboots, "a") }},
			map[string]reboot.Holder{},
		},
		{
			"gives a slot to who is under way without one",
			given{in("a", reboot.PhaseDrained, 0), budget(func(b *reboot.Budget) { clear(b.Holders) })},
			map[string]reboot.Holder{"a": {UID: "ua", Attempt: 1, Policy: "all", Since: now, Step: reboot.PhaseDrained}},
		},
		{
			"gives a slot to everybody who is under way, whatever the limit",
			given{in("a", reboot.PhaseBack, 0), in("b", reboot.PhaseGranted, 0), budget(func(b *reboot.Budget) { clear(b.Holders) })},
			map[string]reboot.Holder{
				"a": {UID: "ua", Attempt: 1, Policy: "all", Since: now, Step: reboot.PhaseBack},
				"b": {UID: "ub", Attempt: 1, Policy: "all", Since: now, Step: reboot.PhaseGranted},
			},
		},
		{
			"says how far its holders are",
			given{in("a", reboot.PhaseGranted, 0), holder("ua", 1)},
			map[string]reboot.Holder{"a": {UID: "ua", Attempt: 1, Policy: "all", Since: now, Step: reboot.PhaseGranted}},
		},
		{
			"counts attempts",
			given{attempts(3)},
			map[string]reboot.Holder{"a": {UID: "ua", Attempt: 4, Policy: "all", Since: now, Step: reboot.PhasePending}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tc.want, reboot.Plan(facts(tc.facts...), now).Holders)
		})
	}

	assert.Nil(t, reboot.Plan(facts(noBudget), now).Holders)
}

func TestAnAttemptEndsBeforeItsSlotIsGivenBack(t *testing.T) {
	t.Parallel()

	// It waits with a slot, and no longer can go.
	f := facts(holds("a"), asks("a", func(r *reboot.Reboot) { r.Suspend = true }))

	first := reboot.Plan(f, now)
	assert.Equal(t, "Pending Suspended, slot ua/1 Pending", told(first, "a"))
	assert.Equal(t, 1, first.Reboots["a"].Status.Attempt)

	second := reboot.Plan(publish(f, first), now)
	assert.Equal(t, "Pending Suspended", told(second, "a"))

	// The next one is another attempt, so a coordinator that still knows of the first one cannot begin it.
	f = publish(publish(f, first), second)
	asks("a", func(r *reboot.Reboot) { r.Suspend = false })(&f)
	assert.Equal(t, "Pending Next, slot ua/2 Pending", told(reboot.Plan(f, now), "a"))
}

func TestTheQueue(t *testing.T) {
	t.Parallel()

	failed := func(n int) func(*reboot.Reboot) {
		return func(r *reboot.Reboot) { r.Status.FailedAttempts = n }
	}
	at := func(ago time.Duration) func(*reboot.Reboot) {
		return func(r *reboot.Reboot) { r.Created = now.Add(-ago) }
	}
	urgent := func(r *reboot.Reboot) { r.Priority = new(5) }

	decision := reboot.Plan(facts(
		asks("a", at(time.Hour)),
		asks("b", at(time.Minute)),
		asks("c", at(time.Hour)),
		asks("d", at(2*time.Hour), failed(1)),
		asks("e", at(time.Minute), failed(2), urgent),
		asks("f", at(3*time.Hour), func(r *reboot.Reboot) { r.RequestedAt = now }),
		asks("g", at(time.Minute), func(r *reboot.Reboot) { r.Priority = new(-1) }),
		in("h", reboot.PhaseBack, 0),
		asks("i", at(time.Second)),
		node("i", func(n *reboot.Node) { n.Policies = []string{"first"} }),
		func(f *reboot.Facts) { f.Policies = append(f.Policies, reboot.Policy{Name: "first", Priority: 7}) },
	), now)

	assert.Equal(t, []string{"i", "e", "a", "c", "b", "f", "d", "g"}, decision.Queue)
	assert.Equal(t, 8, decision.Waiting)

	for i, name := range decision.Queue {
		assert.Equal(t, i+1, decision.Reboots[name].Status.Place)
	}

	assert.Zero(t, decision.Reboots["h"].Status.Place)
}

func TestABlockedNodeIsPassedOver(t *testing.T) {
	t.Parallel()

	decision := reboot.Plan(facts(asks("b"), runs(pod("web", guarded)), closed), now)
	assert.Equal(t, "Pending Blocked, slot ub/1 Pending", told(decision, "a"))
	assert.Equal(t, 1, decision.Reboots["a"].Status.Place)
	assert.Equal(t, "Pending Next, slot ub/1 Pending", told(decision, "b"))
}

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

// TestAReboot has every reason for which a reboot does not begin, with when to look again.
func TestAReboot(t *testing.T) {
	t.Parallel()

	const hour = time.Hour

	rebooted := func(ago time.Duration) func(*reboot.Facts) {
		return status(func(s *reboot.Status) {
			s.Results = []reboot.Result{
				{Reason: reboot.ReasonBlocked, FinishedAt: now},
				{Rebooted: true, FinishedAt: now.Add(-ago)},
			}
		})
	}

	for _, tc := range []struct {
		name    string
		facts   given
		want    string
		message string
		again   time.Duration
	}{
		{
			"that nothing stands against takes a slot", nil,
			"Pending Next, slot ua/1 Pending", "it takes a slot", 0,
		},
		{
			"of a node that is missing waits",
			given{noNode},
			"Pending NodeMissing", "there is no node a", 0,
		},
		{
			"that was deleted does not begin",
			given{asks("a", func(r *reboot.Reboot) { r.Deleting = true })},
			"Pending Deleted", "the NodeReboot was deleted", 0,
		},
		{
			"that is suspended waits",
			given{asks("a", func(r *reboot.Reboot) { r.Suspend = true })},
			"Pending Suspended", "spec.suspend is set", 0,
		},
		{
			"that its node no longer wants is taken back",
			given{asks("a", func(r *reboot.Reboot) { r.FromNode = true })},
			"Pending Withdrawn, withdrawn a", "the node no longer wants a reboot", 0,
		},
		{
			"that its node still wants takes a slot",
			given{asks("a", func(r *reboot.Reboot) { r.FromNode = true }), node("a", func(n *reboot.Node) { n.Agent.Wanted = true })},
			"Pending Next, slot ua/1 Pending", "it takes a slot", 0,
		},
		{
			"without a budget waits",
			given{noBudget},
			"Pending NoBudget", "there is no RebootBudget named default", 0,
		},
		{
			"waits while the budget is paused",
			given{budget(func(b *reboot.Budget) { b.Paused = true })},
			"Pending Paused", "spec.paused of the RebootBudget is set", 0,
		},
		{
			"without a policy waits",
			given{noPolicy},
			"Pending NoPolicy", "no RebootPolicy selects the node", 0,
		},
		{
			"that no policy selects waits",
			given{node("a", func(n *reboot.Node) { n.Policies = nil })},
			"Pending NoPolicy", "no RebootPolicy selects the node", 0,
		},
		{
			"with a policy that is wrong waits",
			given{policy(func(p *reboot.Policy) { p.Error = "unknown zone" })},
			"Pending PolicyInvalid", "RebootPolicy all: unknown zone", 0,
		},
		{
			"of a node that is taken away waits",
			given{node("a", func(n *reboot.Node) { n.Leaving = "a taint" })},
			"Pending NodeLeaving", "the node is being taken away: a taint", 0,
		},
		{
			"of a node that is not to be disrupted waits",
			given{node("a", func(n *reboot.Node) { n.Kept = "a mark" })},
			"Pending DoNotDisrupt", "the node is marked with a mark", 0,
		},
		{
			"without an agent waits",
			given{node("a", func(n *reboot.Node) { n.Agent = reboot.Agent{} })},
			"Pending NoAgent", "no agent of rebound with --reboots has reported in the node's present boot; rebound install --reboots puts one there", 0,
		},
		{
			"waits for an agent that has reported in another boot",
			given{node("a", func(n *reboot.Node) { n.Agent.BootID = "a0" })},
			"Pending NoAgent", "no agent of rebound with --reboots has reported in the node's present boot; rebound install --reboots puts one there", 0,
		},
		{
			"waits for an agent that cannot reboot the node",
			given{node("a", func(n *reboot.Node) { n.Agent.Problem = "no bus" })},
			"Pending NoAgent", "the agent cannot reboot the node: no bus", 0,
		},
		{
			"of a node that runs Talos waits for a talosconfig",
			given{node("a", func(n *reboot.Node) { n.Talos, n.Agent = true, reboot.Agent{} })},
			"Pending NoAgent", "the node runs Talos: give the coordinator a talosconfig", 0,
		},
		{
			"through the Talos API waits for a talosconfig",
			given{policy(func(p *reboot.Policy) { p.Method = reboot.MethodTalosAPI })},
			"Pending NoTalosAPI", "RebootPolicy all wants the Talos API, and the coordinator has no talosconfig", 0,
		},
		{
			"waits until its time",
			given{asks("a", func(r *reboot.Reboot) { r.NotBefore = now.Add(hour) })},
			"Pending NotBefore", "not before 2026-03-02T13:00:00Z", hour,
		},
		{
			"of a node that is not Ready waits",
			given{node("a", func(n *reboot.Node) { n.Ready = false })},
			"Pending NodeNotReady", "the node is not Ready, so its pods could not end in good order", 0,
		},
		{
			"waits for the cooldown, whatever was given up since",
			given{rebooted(20 * time.Minute)},
			"Pending Cooldown", "rebooted at 2026-03-02T11:40:00Z; not again before 2026-03-02T12:40:00Z", 40 * time.Minute,
		},
		{
			"begins at the end of the cooldown",
			given{rebooted(hour)},
			"Pending Next, slot ua/1 Pending", "it takes a slot", 0,
		},
		{
			"that was given up waits for its next attempt, and says why",
			given{status(func(s *reboot.Status) {
				s.FailedAttempts, s.NextAttemptAt = 2, now.Add(time.Minute)
				s.Results = []reboot.Result{{Message: "pod shop/db"}}
			})},
			"Pending BackOff", "given up 2 time(s), next attempt at 2026-03-02T12:01:00Z: pod shop/db", time.Minute,
		},
		{
			"that is forced waits as well if it was the reboot that was refused",
			given{asks("a", func(r *reboot.Reboot) { r.Force = true }), status(func(s *reboot.Status) {
				s.FailedAttempts, s.NextAttemptAt = 1, now.Add(time.Minute)
				s.Steps = []reboot.Step{{Phase: reboot.PhaseGranted, At: now}, {Phase: reboot.PhaseRestoring, At: now}}
				s.Results = []reboot.Result{{Message: "no role"}}
			})},
			"Pending BackOff", "given up 1 time(s), next attempt at 2026-03-02T12:01:00Z: no role", time.Minute,
		},
		{
			"waits for its window",
			given{policy(func(p *reboot.Policy) { p.Windows = []reboot.Window{{Start: 13 * 60, End: 14 * 60}} })},
			"Pending OutsideWindow", "the next window in which the drain fits opens at 2026-03-02T13:00:00Z", hour,
		},
		{
			"waits for the next window if its drain does not fit in this one",
			given{policy(func(p *reboot.Policy) { p.Windows = []reboot.Window{{Start: 11 * 60, End: 12*60 + 4}} })},
			"Pending OutsideWindow", "the next window in which the drain fits opens at 2026-03-03T11:00:00Z", 4 * time.Minute,
		},
		{
			"with windows that are too short says so",
			given{policy(func(p *reboot.Policy) { p.Windows = []reboot.Window{{Start: 13 * 60, End: 13*60 + 4}} })},
			"Pending OutsideWindow", "no window of RebootPolicy all is as long as its drain.timeout of 5m0s", 24 * hour,
		},
		{
			"in its window begins, and is looked at when that closes",
			given{policy(func(p *reboot.Policy) { p.Windows = []reboot.Window{{Start: 11 * 60, End: 13 * 60}} })},
			"Pending Next, slot ua/1 Pending", "it takes a slot", hour,
		},
		{
			"waits for a condition of its node",
			given{policy(func(p *reboot.Policy) { p.Conditions = map[string]string{"Calm": "True"} })},
			"Pending GateClosed", "the node's condition Calm is not True", 0,
		},
		{
			"waits for the other control planes",
			given{controlPlane("a"), controlPlane("b", func(n *reboot.Node) { n.Ready = false })},
			"Pending Quorum", "control plane b is not Ready", 0,
		},
		{
			"that a budget blocks takes no slot",
			given{runs(pod("web", guarded)), closed},
			"Pending Blocked", "pod shop/web: PodDisruptionBudget shop/web allows no disruption now", 0,
		},
		{
			"waits for a Talos API that cannot be used",
			given{talosAPI, node("a", func(n *reboot.Node) { n.Talos = true }), talos(reboot.TalosAnswer{CheckedAt: now, CheckProblem: "no route"})},
			"Pending Blocked", "the Talos API cannot be used: no route", 30 * time.Second,
		},
		{
			"asks the Talos API first",
			given{talosAPI, node("a", func(n *reboot.Node) { n.Talos = true })},
			"Pending Checking, checks a", "asking the Talos API", 0,
		},
		{
			"without a slot says who has it",
			given{in("b", reboot.PhaseGranted, time.Minute)},
			"Pending NoSlot, slot ub/1 Granted", "the RebootBudget allows 1 at a time: b is being rebooted", 14 * time.Minute,
		},
		{
			"with a slot gets its finalizer first",
			given{holds("a")},
			"Pending Next, finalizer, slot ua/1 Pending", "it has a slot", 0,
		},
		{
			"waits without a slot until an earlier cordon is gone",
			given{node("a", func(n *reboot.Node) { n.CordonMark = "ua/0" })},
			"Pending Next, strays a", "what an earlier attempt has left is being removed", 0,
		},
		{
			"with a slot and a finalizer begins",
			given{holds("a"), asks("a", func(r *reboot.Reboot) { r.Finalizer = true })},
			"Cordoned Draining, finalizer, slot ua/1 Pending", "the node is being cordoned", 0,
		},
		{
			"with a slot that can no longer go ends its attempt, and keeps the slot until that is on record",
			given{holds("a"), asks("a", func(r *reboot.Reboot) { r.Suspend = true })},
			"Pending Suspended, slot ua/1 Pending", "spec.suspend is set", 0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := reboot.Plan(facts(tc.facts...), now)
			assert.Equal(t, tc.want, told(decision, "a"))
			assert.Equal(t, tc.message, decision.Reboots["a"].Status.Message)
			assert.Equal(t, tc.again, again(decision))
		})
	}
}

func TestForceStandsAboveAllThatConcernsOnlyTheNode(t *testing.T) {
	t.Parallel()

	testPlan(t, given{
		asks("a", func(r *reboot.Reboot) { r.Force = true }),
		status(func(s *reboot.Status) {
			s.NextAttemptAt, s.Results = now.Add(time.Minute), []reboot.Result{{Rebooted: true, FinishedAt: now}}
		}),
		node("a", func(n *reboot.Node) { n.Ready, n.Kept = false, "a mark" }),
		policy(func(p *reboot.Policy) {
			p.Windows, p.Conditions = []reboot.Window{{Start: 1, End: 2}}, map[string]string{"Calm": "True"}
		}),
		runs(pod("web", guarded)), closed,
	}, "Pending Next, slot ua/1 Pending")
}

func TestForceStillWants(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		facts given
		want  string
	}{
		{"a slot", given{in("b", reboot.PhaseBack, time.Minute)}, "Pending NoSlot, slot ub/1 Back"},
		{"a budget that is not paused", given{budget(func(b *reboot.Budget) { b.Paused = true })}, "Pending Paused"},
		{"a policy", given{noPolicy}, "Pending NoPolicy"},
		{"an agent", given{node("a", func(n *reboot.Node) { n.Agent = reboot.Agent{} })}, "Pending NoAgent"},
		{"its time", given{asks("a", func(r *reboot.Reboot) { r.NotBefore = now.Add(time.Second) })}, "Pending NotBefore"},
		{
			"to be the only control plane",
			given{controlPlane("a"), controlPlane("b"), in("b", reboot.PhaseRestoring, 0), budget(func(b *reboot.Budget) { b.MaxUnavailable = 2 })},
			"Pending Quorum, slot ub/1 Restoring",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			testPlan(t, append(given{asks("a", func(r *reboot.Reboot) { r.Force = true })}, tc.facts...), tc.want)
		})
	}
}

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

// TestTheTalosAPI has when a node is asked to reboot. The grant is written before that, so that whoever takes over knows
// that it may have been asked.
func TestTheTalosAPI(t *testing.T) {
	t.Parallel()

	const rest = ", finalizer, slot ua/1 Granted"

	asked := func(ago time.Duration, apply ...func(*reboot.TalosAnswer)) func(*reboot.Facts) {
		answer := reboot.TalosAnswer{CheckedAt: now, Attempt: "ua/1", AskedAt: now.Add(-ago)}
		for _, change := range apply {
			change(&answer)
		}

		return talos(answer)
	}
	inFlight := func(a *reboot.TalosAnswer) { a.InFlight = true }
	unsent := func(a *reboot.TalosAnswer) { a.Unsent = true }
	failed := func(a *reboot.TalosAnswer) { a.Message = "broken pipe" }
	beat := func(ago time.Duration) func(*reboot.Facts) {
		return node("a", func(n *reboot.Node) { n.HeartbeatAt = now.Add(-ago) })
	}

	for _, tc := range []struct {
		name  string
		ago   time.Duration
		facts given
		want  string
	}{
		{"is called with the grant", 0, given{node("a", ungranted)}, "Granted Rebooting, grant a1, call" + rest},
		{"is not called again while it has not answered", 3 * time.Minute, given{asked(3*time.Minute, inFlight)}, "Granted Rebooting" + rest},
		{"is not called again while the node ends its boot", time.Minute, given{asked(time.Minute)}, "Granted Rebooting" + rest},
		{"is not called again because time has passed", 10 * time.Minute, given{asked(10 * time.Minute), beat(9 * time.Minute)}, "Granted Rebooting" + rest},
		{"is called again if the node has lived on", 10 * time.Minute, given{asked(2 * time.Minute), beat(29 * time.Second)}, "Granted Rebooting, call" + rest},
		{"and not a moment before", 10 * time.Minute, given{asked(2 * time.Minute), beat(30 * time.Second)}, "Granted Rebooting" + rest},
		{
			"is not called again while the node is not Ready", 10 * time.Minute,
			given{asked(2 * time.Minute), beat(0), node("a", notReady)},
			"Granted Rebooting" + rest,
		},
		{"counts from the grant for who has not asked itself", time.Minute, given{beat(0)}, "Granted Rebooting" + rest},
		{"is called by who takes over if the node has lived on", 2 * time.Minute, given{beat(0)}, "Granted Rebooting, call" + rest},
		{
			"counts from the grant after a request of another attempt", 2 * time.Minute,
			given{beat(0), talos(reboot.TalosAnswer{Attempt: "ua/0", AskedAt: now, InFlight: true, Refused: true})},
			"Granted Rebooting, call" + rest,
		},
		{"is called again soon if nobody has heard of it", time.Minute, given{asked(5*time.Second, unsent)}, "Granted Rebooting, call" + rest},
		{"and not at once", time.Minute, given{asked(4*time.Second, unsent)}, "Granted Rebooting" + rest},
		{
			"that has refused brings the node back", time.Minute,
			given{asked(0, failed, func(a *reboot.TalosAnswer) { a.Refused = true })},
			"Restoring Blocked" + rest,
		},
		{"that has failed may have done it", time.Minute, given{asked(0, failed)}, "Granted Rebooting" + rest},
		{"is not called any more without a talosconfig", time.Minute, given{asked(0), func(f *reboot.Facts) {
			f.TalosAPI = false
			f.Policies[0].Method = reboot.MethodTalosAPI
		}}, "Granted NoTalosAPI" + rest},
		{"is not called in the new boot", time.Minute, given{node("a", func(n *reboot.Node) { n.BootID = "a2" })}, "Back NotReady" + rest},
		{"is not called for a node that has an agent, if so is wanted", 0, given{policy(func(p *reboot.Policy) { p.Method = reboot.MethodAgent })}, "Granted Rebooting" + rest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			testPlan(t, append(given{
				talosAPI, in("a", reboot.PhaseGranted, tc.ago), node("a", runsTalos), talos(reboot.TalosAnswer{CheckedAt: now}),
			}, tc.facts...), tc.want)
		})
	}
}

func TestTheTalosAPISaysWhatIsWrong(t *testing.T) {
	t.Parallel()

	base := given{talosAPI, in("a", reboot.PhaseGranted, time.Minute), node("a", runsTalos)}

	next := reboot.Plan(facts(append(base, talos(reboot.TalosAnswer{Attempt: "ua/1", AskedAt: now, Message: "broken pipe"}))...), now)
	assert.Equal(t, "the Talos API has not confirmed the reboot: broken pipe", next.Reboots["a"].Status.Message)

	next = reboot.Plan(facts(append(base, talos(reboot.TalosAnswer{Attempt: "ua/1", Refused: true, Message: "no role"}))...), now)
	assert.Equal(t, "the Talos API has refused the reboot: no role", next.Reboots["a"].Status.Message)
}

func TestANodeThatRunsTalosNeedsNoAgent(t *testing.T) {
	t.Parallel()

	testPlan(t, given{talosAPI, node("a", runsTalos), node("a", func(n *reboot.Node) { n.Agent = reboot.Agent{} }), talos(reboot.TalosAnswer{CheckedAt: now})},
		"Pending Next, slot ua/1 Pending")
}

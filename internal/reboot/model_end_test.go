// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/reboot"
)

const (
	// passesToRest is how many passes there may be at one point in time until nothing is left to write.
	passesToRest = 60
	// timeToEnd is how long everything may take once the faults have stopped: the longest back-off, and four reboots.
	timeToEnd = 2 * time.Hour
)

// finish stops the faults, and checks that everything comes to a good end: who can go has gone, who cannot keeps nobody,
// and nothing of ours is left on any node.
func (w *world) finish(t *rapid.T) {
	w.check(t)

	c := w.drawCoordinator(t)
	blocked := rapid.Bool().Draw(t, "pods of w1 stay blocked")

	for _, late := range w.underWay {
		if rapid.Bool().Draw(t, "arrives") {
			w.tell("arrives late: %s", late.words)

			_ = late.send()
		}
	}

	w.underWay = nil
	w.check(t)
	w.tell("the faults stop, and %s goes on alone; w1 stays blocked: %t", c.name, blocked)
	w.heal(blocked)

	end := w.now.Add(timeToEnd)

	for w.now.Before(end) {
		lookAgain, rests := w.rest(t, c)
		w.check(t)

		switch {
		case !rests:
			w.violate("%d passes at one point in time did not lead to rest", passesToRest)
		case !lookAgain.IsZero() && !lookAgain.After(w.now):
			w.violate("nothing is left to do, and it is to be looked again at once")
		}

		w.check(t)

		switch {
		case w.goOn():
			w.pass(time.Second)
		case lookAgain.IsZero():
			end = w.now
		default:
			w.now = lookAgain
			w.beat()
		}
	}

	w.checkEnd(blocked)
	w.check(t)
}

// rest decides and acts until nothing is left to do at this point in time.
func (w *world) rest(t *rapid.T, c *coordinator) (time.Time, bool) {
	for range passesToRest {
		c.observeAll()

		decision, wrote := c.pass()
		w.check(t)

		if !wrote && len(decision.Checks) == 0 {
			return decision.LookAgain, true
		}
	}

	return time.Time{}, false
}

// heal takes everything away that keeps nodes from rebooting, but for one node.
func (w *world) heal(blocked bool) {
	if _, ok := w.budgets[budgetName]; !ok {
		put(w.server, w.budgets, budgetName, reboot.Budget{MaxUnavailable: 1})
	}

	_, _ = change(w.server, w.budgets, budgetName, 0, func(b *reboot.Budget) { b.Paused = false })

	for _, name := range policyNames {
		put(w.server, w.policies, name, basePolicy(name))
	}

	put(w.server, w.podBudgets, podBudgetName, reboot.PodBudget{Current: true, Healthy: true, Allowed: 1})
	put(w.server, w.podBudgets, "shop/closed", reboot.PodBudget{Current: true})

	for _, name := range w.names() {
		m := w.machines[name]
		m.refuses, m.unusable = false, false

		if !m.up {
			w.comeUp(name)
		}

		if _, ok := w.nodes[name]; !ok {
			w.register(name)
		}

		w.report(name, true)

		if w.history.foreign[name] {
			if !w.nodes[name].value.Unschedulable {
				w.violate("the cordon of a person on %s is gone", name)
			}

			delete(w.history.foreign, name)

			_, _ = change(w.server, w.nodes, name, 0, func(n *reboot.Node) { n.Unschedulable = false })
		}

		_, _ = change(w.server, w.reboots, name, 0, func(r *reboot.Reboot) { r.Suspend, r.NotBefore, r.Force = false, time.Time{}, false })
	}

	if _, ok := w.machines["w1"]; ok && blocked {
		uid := w.uid("p")
		put(w.server, w.pods, uid, podObject{node: "w1", Pod: reboot.Pod{
			Namespace: "shop", Name: "stays", UID: uid, Selected: true, Ready: true, Budgets: []string{"shop/closed"},
		}})
	}
}

func (w *world) checkEnd(blocked bool) {
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		if node := w.nodes[name].value; node.Unschedulable || node.CordonMark != "" || node.GrantUID != "" {
			w.violate("at the end %s is unschedulable: %t, has the mark %q and the grant of %q",
				name, node.Unschedulable, node.CordonMark, node.GrantUID)
		}
	}

	for _, name := range slices.Sorted(maps.Keys(w.reboots)) {
		status := w.reboots[name].value.Status

		if status.Phase != reboot.PhaseDone && (!blocked || name != "w1" || status.Phase != reboot.PhasePending) {
			w.violate("at the end NodeReboot %s is %s", name, describeStatus(&status))
		}
	}

	if holders := w.budgets[budgetName].value.Holders; len(holders) > 0 {
		w.violate("at the end the slots are held by %v", describeHolders(holders))
	}
}

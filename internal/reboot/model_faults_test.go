// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// The actions of the model. What is drawn first is the most harmless, because a story is made shorter by drawing less.

func (w *world) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"": w.check}

	for _, action := range []struct {
		name   string
		weight int
		draw   func(*rapid.T)
	}{
		{"goes on", 4, w.drawWork},
		{"decides", 2, w.drawDecision},
		{"sends", 4, w.drawRequest},
		{"learns", 3, w.drawLearning},
		{"two at once", 4, w.drawTwoAtOnce},
		{"crashes", 1, w.drawCrash},
		{"arrives late", 1, w.drawArrival},
		{"time passes", 2, w.drawTime},
		{"node", 2, w.drawNode},
		{"registration", 1, w.drawRegistration},
		{"person", 1, w.drawPerson},
		{"request", 2, w.drawReboot},
		{"budget", 1, w.drawBudget},
		{"policy", 1, w.drawPolicy},
		{"pods", 1, w.drawPods},
	} {
		for i := range action.weight {
			actions[fmt.Sprintf("%s %d", action.name, i)] = action.draw
		}
	}

	return actions
}

func (w *world) check(t *rapid.T) {
	w.history.check(w.server)

	if len(w.broken) > 0 {
		w.fail(t)
	}
}

func (w *world) fail(t *rapid.T) {
	for _, line := range w.story {
		t.Log(line)
	}

	t.Fatalf("after %d lines: %s", len(w.story), w.broken[0])
}

func (w *world) drawCoordinator(t *rapid.T) *coordinator {
	return w.coordinators[rapid.IntRange(0, len(w.coordinators)-1).Draw(t, "coordinator")]
}

func (w *world) drawName(t *rapid.T) string { return rapid.SampledFrom(w.names()).Draw(t, "node") }

// drawWork is how it is meant to be: one coordinator that knows everything and whose requests arrive.
func (w *world) drawWork(t *rapid.T) {
	c := w.drawCoordinator(t)

	for range rapid.IntRange(1, 8).Draw(t, "passes") {
		c.observeAll()
		c.pass()

		if len(w.broken) > 0 {
			return
		}

		if rapid.Bool().Draw(t, "the rest goes on too") {
			w.goOn()
			w.pass(5 * time.Second)
		}
	}
}

// drawTwoAtOnce is how leadership is lost without noticing: one coordinator has decided on what it knew and has begun to do
// it, all kinds of things go on, and then it does the rest.
func (w *world) drawTwoAtOnce(t *rapid.T) {
	c := w.drawCoordinator(t)
	if rapid.Bool().Draw(t, "knows everything") {
		c.observeAll()
	}

	for range rapid.IntRange(0, 3).Draw(t, "news") {
		w.drawNews(t, c)
	}

	c.begin()

	for range rapid.IntRange(0, len(c.requests)).Draw(t, "requests before") {
		c.send(arrives)
	}

	rest := c.requests
	events := []func(*rapid.T){
		func(*rapid.T) {}, w.drawTime, w.drawNode, w.drawPerson, w.drawReboot, w.drawReboot, w.drawBudget, w.drawBudget, w.drawPods,
	}

	for range rapid.IntRange(1, 2).Draw(t, "meanwhile") {
		rapid.SampledFrom(events).Draw(t, "what")(t)
		w.drawWork(t)
	}

	c.requests = rest
	c.sendAll()
}

// drawDecision begins a pass on what the coordinator happens to know. What is left of the one before is dropped.
func (w *world) drawDecision(t *rapid.T) {
	w.drawCoordinator(t).begin()
}

func (w *world) drawRequest(t *rapid.T) {
	c := w.drawCoordinator(t)

	for range rapid.IntRange(1, 4).Draw(t, "requests") {
		if len(c.requests) == 0 {
			return
		}

		c.send(rapid.SampledFrom([]outcome{arrives, arrives, arrives, answerLost, requestLost, delayed}).Draw(t, "outcome"))
	}
}

// drawLearning brings news about some objects.
func (w *world) drawLearning(t *rapid.T) { w.drawNews(t, w.drawCoordinator(t)) }

func (w *world) drawNews(t *rapid.T, c *coordinator) {
	switch name := w.drawName(t); rapid.IntRange(0, 6).Draw(t, "news") {
	case 0:
		c.observeAll()
	case 1:
		learn(c.known.budgets, w.budgets, budgetName)
	case 2:
		learn(c.known.nodes, w.nodes, name)
	case 3:
		learn(c.known.reboots, w.reboots, name)
	case 4:
		learnAll(c.known.reboots, w.reboots)
	case 5:
		learnAll(c.known.nodes, w.nodes)
	case 6:
		learnAll(c.known.policies, w.policies)
		learnAll(c.known.pods, w.pods)
		learnAll(c.known.podBudgets, w.podBudgets)
	}
}

func (w *world) drawCrash(t *rapid.T) {
	c := w.drawCoordinator(t)
	w.tell("%s crashes", c.name)
	c.crash()
}

// drawArrival is about a request that was under way for long.
func (w *world) drawArrival(t *rapid.T) {
	if len(w.underWay) == 0 {
		return
	}

	i := rapid.IntRange(0, len(w.underWay)-1).Draw(t, "which")
	late := w.underWay[i]
	w.underWay = append(w.underWay[:i:i], w.underWay[i+1:]...)

	if rapid.Bool().Draw(t, "arrives") {
		w.tell("arrives late: %s", late.words)

		_ = late.send()
	}
}

func (w *world) drawTime(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, time.Minute, 2 * time.Minute, 10 * time.Minute, time.Hour}).Draw(t, "time")
	w.pass(d)

	if rapid.Bool().Draw(t, "kubelets report") {
		w.beat()
	}
}

func (w *world) drawNode(t *rapid.T) {
	name := w.drawName(t)
	m := w.machines[name]

	switch rapid.IntRange(0, 6).Draw(t, "what") {
	case 0:
		m.wants = m.up
		w.tell("%s wants a reboot", name)
		w.report(name, w.nodes[name].value.Ready)
	case 1:
		m.wants = false
		w.report(name, w.nodes[name].value.Ready)
	case 2:
		w.agentActs(name, rapid.Bool().Draw(t, "looks"))
	case 3:
		if !m.up {
			w.comeUp(name)
		}
	case 4:
		if m.up {
			w.goDown(name, "by itself")
		}
	case 5:
		ready := !w.nodes[name].value.Ready && m.up
		w.tell("%s is Ready: %t", name, ready)
		_, _ = change(w.server, w.nodes, name, 0, func(n *reboot.Node) { n.Ready = ready })
	case 6:
		m.refuses = rapid.Bool().Draw(t, "refuses")
		m.unusable = rapid.Bool().Draw(t, "unusable")
	}
}

// drawRegistration deletes a Node, or has the kubelet of its machine make it again.
func (w *world) drawRegistration(t *rapid.T) {
	name := w.drawName(t)

	if _, ok := w.nodes[name]; ok {
		w.tell("the Node %s is deleted", name)
		delete(w.nodes, name)
		delete(w.history.foreign, name)
	} else if w.machines[name].up {
		w.tell("%s registers again", name)
		w.register(name)
	}
}

// drawPerson is a person who cordons and uncordons. Whoever cordons a node again that we have cordoned before, and has
// uncordoned it, cannot be told from us until a coordinator has seen it: the mark is still there.
func (w *world) drawPerson(t *rapid.T) {
	name := w.drawName(t)
	node, ok := w.nodes[name]

	if !ok {
		return
	}

	cordons := rapid.Bool().Draw(t, "cordons")
	if cordons == node.value.Unschedulable {
		return
	}

	w.setUnschedulable(name, cordons)
}

func (w *world) setUnschedulable(name string, cordons bool) {
	marked := w.nodes[name].value.CordonMark != ""

	w.tell("a person sets unschedulable of %s: %t", name, cordons)
	_, _ = change(w.server, w.nodes, name, 0, func(n *reboot.Node) { n.Unschedulable = cordons })

	if cordons && !marked {
		w.history.foreign[name] = true
	} else {
		delete(w.history.foreign, name)
	}
}

func (w *world) drawReboot(t *rapid.T) {
	name := w.drawName(t)
	set := func(words string, apply func(*reboot.Reboot)) {
		if _, err := change(w.server, w.reboots, name, 0, apply); err == nil {
			w.tell("a person changes NodeReboot %s: %s", name, words)
		}
	}

	switch rapid.IntRange(0, 8).Draw(t, "what") {
	case 0, 1:
		force := rapid.IntRange(0, 3).Draw(t, "force") == 3
		if w.createReboot(name, reboot.Reboot{Force: force}) == nil {
			w.tell("a person creates NodeReboot %s, force: %t", name, force)
		}
	case 2:
		if w.deleteReboot(name, 0) == nil {
			w.tell("a person deletes NodeReboot %s", name)
		}
	case 3:
		set("suspend", func(r *reboot.Reboot) { r.Suspend = true })
	case 4:
		set("do not suspend", func(r *reboot.Reboot) { r.Suspend = false })
	case 5:
		set("ask anew", func(r *reboot.Reboot) { r.RequestedAt = w.now.Truncate(time.Second) })
	case 6:
		set("force", func(r *reboot.Reboot) { r.Force = !r.Force })
	case 7:
		set("not before", func(r *reboot.Reboot) { r.NotBefore = w.now.Add(5 * time.Minute).Truncate(time.Second) })
	case 8:
		if found := w.reboots[name]; found.value.Finalizer {
			w.tell("a person takes the finalizer off NodeReboot %s and deletes it", name)
			delete(w.reboots, name)
			w.history.lose(name)
		}
	}
}

func (w *world) drawBudget(t *rapid.T) {
	_, exists := w.budgets[budgetName]
	set := func(words string, apply func(*reboot.Budget)) {
		if _, err := change(w.server, w.budgets, budgetName, 0, apply); err == nil {
			w.tell("a person changes the RebootBudget: %s", words)
		}
	}

	if !exists {
		w.tell("a person creates the RebootBudget")
		put(w.server, w.budgets, budgetName, reboot.Budget{MaxUnavailable: 1})

		return
	}

	if w.budgets[budgetName].value.Paused {
		w.pause(false)

		return
	}

	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		set("2 at a time", func(b *reboot.Budget) { b.MaxUnavailable = 2 })
	case 1:
		set("1 at a time", func(b *reboot.Budget) { b.MaxUnavailable = 1 })
	case 2:
		set("3 at a time", func(b *reboot.Budget) { b.MaxUnavailable = 3 })
	case 3:
		w.pause(true)
	case 4:
		w.tell("a person deletes the RebootBudget")

		for name := range w.budgets[budgetName].value.Holders {
			w.history.lose(name)
		}

		for _, name := range w.history.ours(w.server) {
			w.history.lose(name)
		}

		delete(w.budgets, budgetName)
	}
}

func (w *world) pause(paused bool) {
	w.tell("a person changes the RebootBudget: paused: %t", paused)
	_, _ = change(w.server, w.budgets, budgetName, 0, func(b *reboot.Budget) { b.Paused = paused })
}

func (w *world) drawPolicy(t *rapid.T) {
	name := rapid.SampledFrom(policyNames).Draw(t, "policy")
	if _, ok := w.policies[name]; !ok {
		w.tell("a person creates RebootPolicy %s", name)
		put(w.server, w.policies, name, basePolicy(name))

		return
	}

	set := func(words string, apply func(*reboot.Policy)) {
		w.tell("a person changes RebootPolicy %s: %s", name, words)
		_, _ = change(w.server, w.policies, name, 0, apply)
	}

	switch rapid.IntRange(0, 11).Draw(t, "what") {
	case 0:
		set("1 at a time", func(p *reboot.Policy) { p.MaxUnavailable = reboot.Limit{Count: 1} })
	case 1:
		set("50% at a time", func(p *reboot.Policy) { p.MaxUnavailable = reboot.Limit{Percent: 50} })
	case 2:
		set("force", func(p *reboot.Policy) { p.Drain.OnBlocked = reboot.Force })
	case 3:
		set("force after 10 minutes", func(p *reboot.Policy) { p.Drain.OnBlocked, p.Drain.ForceAfter = reboot.Force, new(10*time.Minute) })
	case 4:
		set("reboot if blocked", func(p *reboot.Policy) { p.Drain.OnBlocked = reboot.RebootAnyway })
	case 5:
		set("give up", func(p *reboot.Policy) { p.Drain.OnBlocked = reboot.GiveUp })
	case 6:
		set("from 22:00 to 23:00", func(p *reboot.Policy) { p.Windows = []reboot.Window{{Start: 22 * 60, End: 23 * 60}} })
	case 7:
		set("at any time", func(p *reboot.Policy) { p.Windows = nil })
	case 8:
		set("something wrong", func(p *reboot.Policy) { p.Error = "wrong" })
	case 9:
		set("a delay", func(p *reboot.Policy) { p.Delay = 20 * time.Second })
	case 10:
		set("a cooldown", func(p *reboot.Policy) { p.Cooldown = 10 * time.Minute })
	case 11:
		w.tell("a person deletes RebootPolicy %s", name)
		delete(w.policies, name)
	}
}

func (w *world) drawPods(t *rapid.T) {
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		w.tell("the PodDisruptionBudget allows a disruption")
		put(w.server, w.podBudgets, podBudgetName, reboot.PodBudget{Current: true, Healthy: true, Allowed: 1})
	case 1:
		w.tell("the PodDisruptionBudget allows no disruption")
		put(w.server, w.podBudgets, podBudgetName, reboot.PodBudget{Current: true})
	case 2:
		w.addPod(w.drawName(t))
	default:
		for _, uid := range w.podsOn(w.drawName(t)) {
			if !w.pods[uid].value.DeletedAt.IsZero() {
				delete(w.pods, uid)
			} else if rapid.Bool().Draw(t, "finishes") {
				_, _ = change(w.server, w.pods, uid, 0, func(p *podObject) { p.Finished = true })
			}
		}
	}
}

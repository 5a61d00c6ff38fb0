// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/recovery"
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
		{"time passes", 3, w.drawTime},
		{"rebound", 4, w.drawRebound},
		{"request", 3, w.drawRequest},
		{"kubelet", 4, w.drawKubelet},
		{"controller", 3, w.drawController},
		{"reboot", 2, w.drawReboot},
		{"machine", 2, w.drawMachine},
		{"network", 2, w.drawNetwork},
		{"rejections", 2, w.drawRejections},
		{"person", 2, w.drawPerson},
		{"obstacles", 1, w.drawObstacles},
		{"clock", 1, w.drawClock},
		{"crash", 1, w.drawCrash},
		{"fight", 1, w.drawFight},
	} {
		for i := range action.weight {
			actions[fmt.Sprintf("%s %d", action.name, i)] = action.draw
		}
	}

	return actions
}

func (w *world) check(t *rapid.T) {
	if len(w.broken) > 0 {
		w.fail(t)
	}
}

func (w *world) fail(t *rapid.T) {
	for _, line := range w.lines {
		t.Log(line)
	}

	t.Fatalf("after %d lines and %s: %s", len(w.lines), w.now.Sub(w.began), w.broken[0])
}

func (w *world) drawID(t *rapid.T) string { return rapid.SampledFrom(w.ids()).Draw(t, "DaemonSet") }

// drawWork is how it is meant to be.
func (w *world) drawWork(t *rapid.T) {
	for range rapid.SampledFrom([]int{1, 2, 5, 15}).Draw(t, "seconds") {
		w.goOn()
		w.pass(time.Second)
	}
}

func (w *world) drawTime(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		100 * time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second, time.Minute, 3 * time.Minute, 16 * time.Minute,
	}).Draw(t, "time")

	w.tell("%s pass", d)
	w.pass(d)
}

// drawRebound has the controller, or its session, do one thing.
func (w *world) drawRebound(t *rapid.T) {
	if !w.on {
		return
	}

	r := w.rebound

	for range rapid.IntRange(1, 4).Draw(t, "things") {
		switch rapid.IntRange(0, 5).Draw(t, "thing") {
		case 0:
			r.pass(noCrash)
		case 1:
			r.connect()
			r.pass(noCrash)
		case 2:
			r.connect()
			r.list(rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(t, "behind"))
		case 3:
			r.learn(rapid.IntRange(1, 3).Draw(t, "changes"))
		case 4:
			r.readNode()
		case 5:
			w.settle()
		}
	}
}

func (w *world) drawRequest(t *rapid.T) {
	if !w.on {
		return
	}

	for range rapid.IntRange(1, 3).Draw(t, "requests") {
		w.rebound.proceed(rapid.SampledFrom([]answer{arrives, arrives, answerLost, requestLost, delayed, breaks}).Draw(t, "answer"))
	}

	if len(w.late) > 0 && rapid.Bool().Draw(t, "a late one arrives") {
		w.arriveLate()
	}
}

// drawKubelet has the kubelet say something about a pod, or about itself.
func (w *world) drawKubelet(t *rapid.T) {
	switch rapid.IntRange(0, 5).Draw(t, "about") {
	case 4:
		w.report()
	case 5:
		if w.kubelet.state == kubeletUp {
			w.setHealthy(!w.healthy)
		}
	default:
		pods := slices.DeleteFunc(w.sorted(), func(pod *podObject) bool { return len(w.statuses(pod)) == 0 })
		if len(pods) > 0 {
			pod := rapid.SampledFrom(pods).Draw(t, "pod")
			w.say(pod, rapid.SampledFrom(w.statuses(pod)).Draw(t, "status"))
		}
	}
}

func (w *world) drawController(t *rapid.T) {
	w.sync(w.drawID(t))

	if rapid.Bool().Draw(t, "garbage is collected") {
		w.collect()
	}
}

// drawReboot ends a boot, more or less gracefully, and begins another.
func (w *world) drawReboot(t *rapid.T) {
	if w.on && rapid.Bool().Draw(t, "gracefully") {
		if w.kubelet.state == kubeletUp {
			w.shutDown()
		}

		for range rapid.IntRange(0, 2).Draw(t, "reports") {
			w.report()
		}

		w.endPods(rapid.IntRange(0, 3).Draw(t, "rounds"))
	}

	if w.on {
		w.turnOff("a reboot")
	}

	w.pass(rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, time.Minute}).Draw(t, "off"))

	for _, id := range w.ids() {
		w.sync(id)
	}

	w.turnOn()
}

// endPods has the kubelet end or reject all pods, and the DaemonSet controller replace them, so many times.
func (w *world) endPods(rounds int) {
	for range rounds {
		for _, pod := range w.sorted() {
			if statuses := w.statuses(pod); len(statuses) > 0 {
				w.say(pod, statuses[0])
			}
		}

		for _, id := range w.ids() {
			w.sync(id) // deletes
			w.sync(id) // creates
		}
	}
}

// drawMachine does something to the machine by which its boot may or may not end.
func (w *world) drawMachine(t *rapid.T) {
	switch what := rapid.IntRange(0, 4).Draw(t, "what"); {
	case !w.on:
		w.turnOn()
	case w.kubelet.state == kubeletOff:
		w.startKubelet()
	case what == 0 && w.kubelet.state == kubeletUp:
		w.restartKubelet()
	case what == 1 && w.kubelet.state == kubeletUp:
		w.shutDown()

		if rapid.Bool().Draw(t, "and the kubelet says so") {
			w.report()
		}
	case what == 2 && w.kubelet.state == kubeletEnding:
		w.cancel()
	case what == 3 && w.kubelet.state == kubeletUp:
		w.announces = !w.announces
		w.tell("shutdowns are announced on the machine from now on: %t", w.announces)
	case what == 4:
		w.turnOff("a power failure")
	}
}

func (w *world) drawNetwork(t *rapid.T) {
	switch rapid.IntRange(0, 2).Draw(t, "network") {
	case 0:
		w.away = false
	case 1:
		w.rebound.breakOff("unexpected EOF")
	case 2:
		w.away = true
		w.tell("the API server cannot be reached")
		w.rebound.breakOff("connection refused")
	}
}

func (w *world) drawRejections(t *rapid.T) {
	id := w.drawID(t)

	if _, rejects := w.rejects[id]; rejects {
		w.tell("the kubelet rejects the pods of %s no more", id)
		delete(w.rejects, id)

		return
	}

	w.rejects[id] = rapid.SampledFrom([]string{"UnexpectedAdmissionError", "OutOfcpu", "NodeAffinity"}).Draw(t, "reason")
	w.tell("the kubelet rejects the pods of %s: %s", id, w.rejects[id])

	if rapid.Bool().Draw(t, "and is restarted") && w.kubelet.state == kubeletUp {
		w.restartKubelet()
	}
}

// drawPerson changes a DaemonSet or a pod.
func (w *world) drawPerson(t *rapid.T) {
	id := w.drawID(t)
	ds := w.daemonSets[id]
	pods := w.podsOf(ds)

	switch rapid.IntRange(0, 6).Draw(t, "person") {
	case 0:
		ds.generation++
		w.tell("%s is updated", id)
	case 1:
		ds.wanted = !ds.wanted
		w.tell("%s wants a pod here: %t", id, ds.wanted)
	case 2:
		w.recreate(ds, rapid.Bool().Draw(t, "leaves its pods"))
	case 3:
		if len(pods) > 0 {
			pod := rapid.SampledFrom(pods).Draw(t, "pod")
			pod.OptedOut = !pod.OptedOut
			w.tell("%s has opted out: %t", pod.Name, pod.OptedOut)
			w.changed(pod.UID)
		}
	case 4:
		if len(pods) > 0 {
			pod := rapid.SampledFrom(pods).Draw(t, "pod")
			w.tell("a person deletes %s", pod.Name)
			w.delete(pod.UID)
		}
	case 5:
		if len(pods) > 0 {
			w.setFinalizers(rapid.SampledFrom(pods).Draw(t, "pod"), "example.com/held")
		}
	case 6:
		for _, pod := range w.sorted() {
			w.setFinalizers(pod)
		}
	}
}

// recreate deletes a DaemonSet and makes another one of the same name.
func (w *world) recreate(ds *daemonSet, leaves bool) {
	w.tell("%s is deleted and created again; its pods are left: %t", ds.id(), leaves)

	for _, pod := range w.podsOf(ds) {
		if leaves {
			pod.Owner = recovery.Owner{}
			w.changed(pod.UID)
		}
	}

	w.apply(ds.name)
}

// setFinalizers holds a pod, or lets it go.
func (w *world) setFinalizers(pod *podObject, finalizers ...string) {
	if len(pod.Finalizers) == 0 && len(finalizers) == 0 {
		return
	}

	w.tell("%s has the finalizers %v", pod.Name, finalizers)
	pod.Finalizers = finalizers

	if pod.Deleting && pod.Failed && len(finalizers) == 0 {
		w.remove(pod.UID)
	} else {
		w.changed(pod.UID)
	}
}

// drawObstacles puts something in the way of a DaemonSet, or takes it away.
func (w *world) drawObstacles(t *rapid.T) {
	id := w.drawID(t)

	switch rapid.IntRange(0, 3).Draw(t, "obstacle") {
	case 0:
		w.controllerAway = !w.controllerAway
		w.tell("the DaemonSet controller is away: %t", w.controllerAway)
	case 1:
		w.refusesDeletes[id] = !w.refusesDeletes[id]
		w.tell("deletes of pods of %s are refused: %t", id, w.refusesDeletes[id])
	case 2:
		w.refusesCreates[id] = !w.refusesCreates[id]
		w.tell("creates of pods of %s are refused: %t", id, w.refusesCreates[id])
	case 3:
		w.neverReady[id] = !w.neverReady[id]
		w.tell("the pods of %s do not get Ready: %t", id, w.neverReady[id])
	}
}

func (w *world) drawClock(t *rapid.T) {
	w.setClock(rapid.SampledFrom([]time.Duration{0, time.Hour, -time.Hour, time.Minute}).Draw(t, "ahead"))
}

func (w *world) drawCrash(t *rapid.T) {
	if w.on {
		w.rebound.pass(rapid.SampledFrom([]crash{beforeRecords, betweenRecords, beforeStatus, beforeApply}).Draw(t, "crash"))
	}
}

// drawFight has a DaemonSet that surges leave many pods behind in one shutdown.
func (w *world) drawFight(t *rapid.T) {
	if w.on && w.kubelet.state == kubeletEnding {
		w.endPods(rapid.SampledFrom([]int{5, 40}).Draw(t, "rounds"))
	}
}

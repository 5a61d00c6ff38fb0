// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import "time"

// reportInterval is how often the kubelet reports when nothing keeps it from that, reportLimit when nothing has changed.
const (
	reportInterval = 10 * time.Second
	reportLimit    = 5 * time.Minute
)

// goOn lets everything go on that goes on by itself, as if nothing was in its way but what was put there. It tells whether
// there was something.
func (w *world) goOn() bool {
	busy := w.goOnMachine()

	for _, pod := range w.sorted() {
		statuses := w.statuses(pod)
		if len(statuses) == 0 {
			continue
		}

		said := statuses[0]
		isNews := said.gone && len(pod.Finalizers) == 0 || !said.gone && (said.failed != pod.Failed || said.ready != pod.Ready ||
			pod.Started.IsZero() || pod.admittedIn != w.kubelet.run)

		if isNews {
			w.say(pod, said)

			busy = true
		}
	}

	for _, id := range w.ids() {
		busy = w.sync(id) || busy
	}

	busy = w.collect() || busy
	w.arriveLate()

	return w.goOnRebound() || busy
}

// goOnMachine ends a shutdown, and boots.
func (w *world) goOnMachine() bool {
	switch {
	case !w.on:
		return w.turnOn()
	case w.kubelet.state == kubeletOff:
		return w.startKubelet()
	case w.kubelet.state == kubeletEnding:
		w.report()
		w.endPods(2)
		w.turnOff("it was shut down")
	case w.node.BootID != w.bootID() || w.node.ShuttingDown || w.now.Sub(w.reportedAt) >= reportInterval:
		w.report()
	case !w.healthy:
		w.setHealthy(true)
	default:
		return false
	}

	return true
}

func (w *world) goOnRebound() bool {
	if !w.on {
		return false
	}

	r, busy := w.rebound, w.settle()

	for _, step := range []func() bool{
		r.connect, w.settle, func() bool { return r.list(0) }, func() bool { return r.learn(len(w.log)) }, r.readNode, w.settle,
	} {
		busy = step() || busy
	}

	for r.proceed(arrives) {
		busy = true
	}

	return w.settle() || busy
}

// settle lets the controller pass until there is no news.
func (w *world) settle() bool {
	if !w.on || !w.rebound.dirty {
		return false
	}

	for passes := 0; w.rebound.dirty && len(w.broken) == 0; passes++ {
		if passes == passesAtOnce {
			w.violate("%d passes at one point in time did not lead to rest", passes)
		}

		w.rebound.pass(noCrash)
	}

	return true
}

// arriveLate has the requests arrive that are on their way.
func (w *world) arriveLate() {
	for _, uid := range w.late {
		if pod, ok := w.pods[uid]; ok {
			w.tell("the delete of %s arrives late", pod.Name)
			w.delete(uid)
		}
	}

	w.late = nil
}

// pass lets time pass. What is due in it happens on time.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)

	for w.settle(); w.now.Before(end) && len(w.broken) == 0; w.settle() {
		w.now = w.nextDue(end)

		if !w.on {
			continue
		}

		if w.kubelet.state != kubeletOff && w.now.Sub(w.reportedAt) >= reportLimit {
			w.report()
		}

		w.rebound.learnInTime()

		if at := w.rebound.wakeAt; !at.IsZero() && !w.now.Before(at) {
			w.judge.woke()
			w.rebound.pass(noCrash)
		}
	}
}

// nextDue is when something is due next, end at the latest.
func (w *world) nextDue(end time.Time) time.Time {
	if !w.on {
		return end
	}

	next := end
	due := []time.Time{w.rebound.wakeAt}

	if w.kubelet.state != kubeletOff {
		due = append(due, w.reportedAt.Add(reportLimit))
	}

	if s := w.rebound.session; s != nil && s.listed && s.cursor < len(w.log) {
		due = append(due, w.log[s.cursor].at.Add(watchLag))
	}

	for _, at := range due {
		if at.After(w.now) && at.Before(next) {
			next = at
		}
	}

	return next
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// timeToEnd is how long everything may take once the faults have stopped: two of the longest back-offs of the DaemonSet
// controller, as it looks again only a whole one after it has looked, and the time until a DaemonSet is let go.
const timeToEnd = 2*maxBackOff + noSignTime

// culprit is what still keeps a DaemonSet from coming back when all other faults have stopped.
type culprit string

const (
	nobody          culprit = "nothing"
	aFinalizer      culprit = "a finalizer that stays"
	aWebhook        culprit = "a webhook that denies deletes"
	aQuota          culprit = "a quota that denies creates"
	theKubelet      culprit = "a kubelet that rejects for ever"
	thePod          culprit = "a pod that never gets Ready"
	theDeleted      culprit = "a DaemonSet that wants no pod here any more"
	noController    culprit = "a DaemonSet controller that is away for ever"
	rebootsAtTheEnd         = "the machine reboots once more"
)

var culprits = []culprit{nobody, aFinalizer, aWebhook, aQuota, theKubelet, thePod, theDeleted, noController}

// finish stops the faults but for one, and checks that everything comes to a good end: the node has recovered, or its message
// names who keeps it from that.
func (w *world) finish(t *rapid.T) {
	w.check(t)

	who, id := rapid.SampledFrom(culprits).Draw(t, "culprit"), w.drawID(t)
	reboots := rapid.Bool().Draw(t, rebootsAtTheEnd)

	w.end(who, id, reboots)
	w.check(t)
}

func (w *world) end(who culprit, id string, reboots bool) {
	w.tell("the faults stop, but for %s (%s)", who, id)
	w.heal()
	w.blame(who, id)

	switch {
	case reboots && w.on && w.kubelet.state == kubeletUp:
		w.shutDown()
	case reboots && w.on:
		w.turnOff("a power failure")
	}

	for end := w.now.Add(timeToEnd); w.now.Before(end) && len(w.broken) == 0; w.pass(w.untilNews()) {
		for range passesAtOnce {
			if !w.goOn() {
				break
			}
		}
	}

	if len(w.broken) == 0 {
		w.checkEnd(who, id)
	}
}

// untilNews is how long nothing but what is due of itself happens.
func (w *world) untilNews() time.Duration {
	next := w.now.Add(reportLimit)
	if !w.on || w.kubelet.state == kubeletOff {
		next = w.now.Add(powerOff)
	}

	if s := w.rebound.session; s != nil && w.rebound.wakeAt.After(w.now) && w.rebound.wakeAt.Before(next) {
		next = w.rebound.wakeAt
	}

	for _, ds := range w.daemonSets {
		if over := w.controller.backOffs.over(w.controller.key(ds), w.now); over.After(w.now) && over.Before(next) {
			next = over
		}
	}

	return max(next.Sub(w.now), time.Second)
}

// heal takes everything out of the way.
func (w *world) heal() {
	w.away, w.controllerAway, w.announces = false, false, true

	clear(w.refusesDeletes)
	clear(w.refusesCreates)
	clear(w.rejects)
	clear(w.neverReady)

	for _, ds := range w.daemonSets {
		ds.wanted = true
	}

	for _, pod := range w.sorted() {
		w.setFinalizers(pod)
	}

	if w.ahead != 0 {
		w.setClock(0)
	}
}

func (w *world) blame(who culprit, id string) {
	switch who {
	case nobody:
	case aFinalizer:
		for _, pod := range w.podsOf(w.daemonSets[id]) {
			w.setFinalizers(pod, "example.com/held")
		}
	case aWebhook:
		w.refusesDeletes[id] = true
	case aQuota:
		w.refusesCreates[id] = true
	case theKubelet:
		w.rejects[id] = "UnexpectedAdmissionError"
	case thePod:
		w.neverReady[id] = true
	case theDeleted:
		w.daemonSets[id].wanted = false
	case noController:
		w.controllerAway = true
	}
}

func (w *world) checkEnd(who culprit, id string) {
	w.checkStatus(who, id)
	w.checkRest()

	for _, name := range w.ids() {
		if ready := w.hasReady(name); who == nobody && !ready {
			w.violate("at the end %s has no pod that is Ready", name)
		} else {
			w.checkReleased(name, ready)
		}
	}
}

// checkRest decides once more when there is no news: nothing may be said anew, or it would be with every pass.
func (w *world) checkRest() {
	w.settle()

	decision := w.mutant.plan(w.rebound.read(), w.clock().Add(time.Millisecond))
	if !reflect.DeepEqual(decision.Status, w.rebound.status) || !maps.Equal(decision.DaemonSets, w.rebound.daemonSets) {
		w.violate("at the end every pass says something new: %+v, then %+v", w.rebound.status, decision.Status)
	}
}

// checkReleased looks at a DaemonSet that is said not to have come back.
func (w *world) checkReleased(id string, ready bool) {
	status := w.rebound.status
	if status.Phase != specs.PhaseRecovered || w.rebound.daemonSets[id].Phase != specs.DaemonSetPhaseReleased {
		return
	}

	switch {
	case ready:
		w.violate("at the end %s has a pod, and is said not to have come back", id)
	case !strings.Contains(status.Message, id):
		w.violate("at the end %s has not come back, and is not named: %s", id, status.Message)
	}
}

// checkStatus looks at what is said of the node.
func (w *world) checkStatus(who culprit, id string) {
	status := w.rebound.status
	// Without its controller, any DaemonSet may wait.
	names := strings.Contains(status.Message, id) || who == noController && slices.ContainsFunc(w.ids(), func(other string) bool {
		return strings.Contains(status.Message, other)
	})

	switch {
	case status.Phase == specs.PhaseRecovered:
	case who == nobody:
		w.violate("at the end the node is %s, and nothing is in the way: %s", status.Phase, status.Message)
	case status.Phase != specs.PhaseRecovering && status.Phase != specs.PhaseDegraded, !names:
		w.violate("at the end the node is %s, and %s of %s is not named: %s", status.Phase, who, id, status.Message)
	}
}

// hasReady tells whether a DaemonSet has a Ready pod.
func (w *world) hasReady(id string) bool {
	for _, pod := range w.podsOf(w.daemonSets[id]) {
		if pod.Ready && !pod.Failed && !pod.Deleting {
			return true
		}
	}

	return false
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const cni = "kube-system/cni"

// TestTheModelNoticesAMistakeOfRebound tells for each mistake a short story in which it matters. The stories come from the
// model, which finds each of them among some hundreds or thousands. They also say what the rules are for.
func TestTheModelNoticesAMistakeOfRebound(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		mutant mutant
		story  func(w *world)
		// lines is how long the story is at the most, as it is told to a person.
		lines   int
		problem string
	}{
		{deletesUnrelated, (*world).evict, 6, "rebound deletes cni-2, which has failed by itself in this boot"},
		{deletesOptedOut, (*world).optOutAndReboot, 16, "rebound deletes cni-2, which has opted out"},
		{deletesForeign, (*world).reboot, 26, "rebound deletes foreign-3, which is no DaemonSet's"},
		{deletesLiving, (*world).update, 6, "rebound deletes cni-2, which has not failed"},
		{deletesDeleting, (*world).holdAndReboot, 20, "rebound deletes cni-2, which is being deleted"},
		{waitsForNothing, (*world).rejectForEver, 40, "deleted in this boot before, and 1s are due"},
		{hasNoCap, (*world).rejectForEver, 40, "and may delete 2"},
		{forgetsCount, (*world).rejectForEver, 40, "deleted in this boot before, and 1s are due"},
		{looksAtOnce, func(*world) {}, 4, "rebound wants to look again at once, which is a hot loop"},
		{looksNever, func(w *world) { w.end(nobody, cni, false) }, 6, "at the end the node is recovering, and nothing is in the way"},
		{namesNobody, func(w *world) { w.end(aFinalizer, cni, true) }, 20, "and a finalizer that stays of kube-system/cni is not named"},
		{recoversEarly, func(w *world) { w.end(aWebhook, cni, true) }, 20, "has recovered while kube-system/cni has a Failed pod"},
		{releasesAtOnce, func(w *world) { w.end(noController, cni, true) }, 20, "while kube-system/cni has had no pod for only 12s"},
		{settlesAtOnce, func(w *world) { w.end(noController, cni, true) }, 20, "while kube-system/cni has had no pod for only"},
		{neverConnects, func(w *world) { w.end(nobody, cni, false) }, 6, "at the end the node is waiting, and nothing is in the way"},
		{bootTooLate, (*world).evict, 6, "rebound deletes cni-2, which has failed by itself in this boot"},
		{ignoresOutcomes, func(w *world) { w.end(aWebhook, cni, true) }, 20, "again 5s too early"},
		{noLocalCheck, (*world).shutDownBeforeTheRequest, 10, "rebound deletes cni-2 while the machine is shutting down"},
		{noNodeCheck, (*world).shutDownUnannounced, 10, "although the kubelet says that it is shutting down"},
		{appliesFirst, (*world).crashAfterADelete, 14, "deleted in this boot before, and 1s are due"},
	} {
		t.Run(string(tc.mutant), func(t *testing.T) {
			t.Parallel()

			for _, mutant := range []mutant{tc.mutant, noMutant} {
				w := newWorld(mutant, 1)
				tc.story(w)

				if mutant == noMutant {
					assert.Empty(t, w.broken, "without the mistake: %q", w.lines)
				} else {
					assert.Contains(t, strings.Join(w.broken, "\n"), tc.problem, "%q", w.lines)
					assert.LessOrEqual(t, len(w.lines), tc.lines, "%q", w.lines)
					t.Logf("a story of %d lines", len(w.lines))
				}
			}
		})
	}
}

// work lets everything go on for some seconds.
func (w *world) work(seconds int) {
	for range seconds {
		for range passesAtOnce {
			if len(w.broken) > 0 || !w.goOn() {
				break
			}
		}

		w.pass(time.Second)
	}
}

func (w *world) evict() {
	w.controllerAway = true
	w.say(w.podsOf(w.daemonSets[cni])[0], podStatus{failed: true, reason: "Evicted"})
	w.work(3)
}

func (w *world) reboot() {
	w.shutDown()
	w.work(10)
}

func (w *world) optOutAndReboot() {
	w.controllerAway = true
	w.podsOf(w.daemonSets[cni])[0].OptedOut = true
	w.reboot()
}

func (w *world) holdAndReboot() {
	w.setFinalizers(w.podsOf(w.daemonSets[cni])[0], "example.com/held")
	w.reboot()
}

func (w *world) update() {
	w.daemonSets[cni].generation++
	w.neverReady[cni] = true
	w.work(5)
}

// rejectForEver has the kubelet reject a pod from now on, and reboots.
func (w *world) rejectForEver() {
	w.rejects[cni], w.rejectionCap = "UnexpectedAdmissionError", 2
	w.reboot()
	w.work(60)
}

// reject has the kubelet reject the pod of a DaemonSet whose controller is away, and rebound decide to delete it.
func (w *world) reject() {
	w.controllerAway = true
	w.rejects[cni] = "UnexpectedAdmissionError"
	w.restartKubelet()
	w.say(w.podsOf(w.daemonSets[cni])[0], podStatus{failed: true, reason: "UnexpectedAdmissionError"})
	w.setHealthy(true)
	w.settle()
	w.rebound.learn(len(w.log))
	w.settle()
}

func (w *world) shutDownBeforeTheRequest() {
	w.reject()
	w.shutDown()
	w.rebound.proceed(arrives)
}

func (w *world) shutDownUnannounced() {
	w.announces = false
	w.reject()
	w.shutDown()
	w.report()
	w.rebound.proceed(arrives)
}

// crashAfterADelete ends the passes that decide on the first two deletes before anything of them is published.
func (w *world) crashAfterADelete() {
	w.rejects[cni] = "UnexpectedAdmissionError"
	w.restartKubelet()
	w.setHealthy(true)
	w.goOnRebound()

	for range 2 {
		w.say(w.podsOf(w.daemonSets[cni])[0], podStatus{failed: true, reason: "UnexpectedAdmissionError"})
		w.rebound.learn(len(w.log))
		w.rebound.pass(beforeRecords)
		w.sync(cni) // deletes, if rebound has not
		w.sync(cni)
		w.goOnRebound()
	}
}

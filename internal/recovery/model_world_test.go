// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
)

const worker = "worker"

// machine is the node's machine.
type machine struct {
	kubelet kubelet
	on      bool
	// boot counts the boots; its id is made of it.
	boot   int
	booted time.Time
	// off is since when it is off.
	off time.Time
	// ahead is by how much its clock is ahead of the API server's, wasSet whether that changed in this boot.
	ahead  time.Duration
	wasSet bool

	healthy, tearingDown bool
	// lifecycles counts the kubelet's lifecycles; announces is whether whatever begins a shutdown says so. If not, only the
	// kubelet tells.
	lifecycles int
	announces  bool
	// reportedAt is when the kubelet reported last.
	reportedAt time.Time
}

func (m *machine) bootID() string { return fmt.Sprintf("boot-%d", m.boot) }

// world is everything.
type world struct {
	*server
	machine

	controller daemonSetController
	rebound    *rebound
	daemonSets map[string]*daemonSet

	// controllerAway is whether no DaemonSet controller runs; rejects are the DaemonSets whose pods the kubelet rejects, and why,
	// neverReady those whose pods do not get Ready.
	controllerAway bool
	rejects        map[string]string
	neverReady     map[string]bool
	// rejectionCap is how rebound is set.
	rejectionCap int
	// mutant is a mistake of rebound.
	mutant mutant
}

var modelStart = time.Date(2026, time.March, 2, 21, 50, 0, 0, time.UTC)

// modelNames are the DaemonSets: the usual one, one that surges, and one of OpenKruise's.
var modelNames = []string{"cni", "surging", "kruise"}

// newWorld is a node that runs some DaemonSets, all of whose pods are Ready, and a few pods that are none of our business.
func newWorld(mutant mutant, daemonSets int) *world {
	w := &world{
		server: newServer(modelStart), mutant: mutant, machine: machine{announces: true}, rejectionCap: recovery.DefaultRejectionCap,
		daemonSets: map[string]*daemonSet{}, rejects: map[string]string{}, neverReady: map[string]bool{},
	}
	w.judge = newJudge(w)

	for _, name := range modelNames[:daemonSets] {
		w.apply(name)
	}

	w.turnOn()

	for range 5 {
		w.pass(time.Second)
		w.goOn()
	}

	for _, owner := range []recovery.Owner{
		{Group: "batch", Kind: "Job", Name: "cni", UID: "uid-job"},
		{Group: "apps", Kind: "StatefulSet", Name: "cni", UID: "uid-stateful"},
		{Group: "example.com", Kind: "DaemonSet", Name: "cni", UID: "uid-foreign"},
		{},
	} {
		pod := w.create(podObject{Pod: recovery.Pod{Namespace: "kube-system", Name: "foreign", NodeName: worker, Owner: owner}})
		w.say(pod, podStatus{ready: true})
	}

	mirror := w.create(podObject{Pod: recovery.Pod{Namespace: "kube-system", Name: "mirror", NodeName: worker, Mirror: true, Owner: recovery.Owner{
		Group: "apps", Kind: "DaemonSet", Name: "cni", UID: "uid-0",
	}}})
	w.say(mirror, podStatus{ready: true})

	return w
}

// apply makes a DaemonSet.
func (w *world) apply(name string) {
	w.made++

	ds := &daemonSet{
		namespace: "kube-system", group: "apps", name: name, uid: fmt.Sprintf("uid-ds-%d", w.made),
		generation: 1, observed: 1, wanted: true, surges: name == "surging",
	}

	if name == "kruise" {
		ds.group = "apps.kruise.io"
	}

	w.daemonSets[ds.id()] = ds
}

func (ds *daemonSet) id() string {
	return recovery.Pod{Namespace: ds.namespace, Owner: recovery.Owner{Group: ds.group, Name: ds.name}}.DaemonSetID()
}

func (w *world) ids() []string { return slices.Sorted(maps.Keys(w.daemonSets)) }

// kubeletAfter is how long after the kernel the kubelet starts at the earliest, powerOff how long a machine is off between
// two boots. The kubelet's times are whole seconds.
const (
	kubeletAfter = 2 * time.Second
	powerOff     = time.Second
)

// turnOn begins a boot.
func (w *world) turnOn() bool {
	if w.now.Sub(w.off) < powerOff {
		return false
	}

	w.boot++
	w.on, w.booted, w.wasSet = true, w.now, w.ahead != 0
	w.lifecycles++
	w.healthy, w.tearingDown = false, false
	w.kubelet.state = kubeletOff
	w.tell("the machine is on, boot %d", w.boot)

	for _, pod := range w.sorted() {
		// What was being deleted when the power went has nothing that runs.
		if pod.Deleting && !pod.Failed && len(pod.Finalizers) == 0 {
			w.remove(pod.UID)
		}
	}

	w.rebound = &rebound{world: w, settings: recovery.DefaultSettings(), dirty: true}
	w.rebound.settings.RejectionCap = w.rejectionCap
	w.judge.newBoot()

	return true
}

// turnOff ends a boot, with everything that was in memory.
func (w *world) turnOff(why string) {
	w.tell("the machine is off: %s", why)
	w.rebound.die()
	w.on, w.healthy, w.tearingDown, w.off = false, false, false, w.now
	w.kubelet.state = kubeletOff
}

// shutDown begins a shutdown.
func (w *world) shutDown() {
	w.tell("a shutdown begins")

	w.tearingDown = w.announces
	w.kubelet.state = kubeletEnding
	w.rebound.dirty = true
}

// cancel has the shutdown not take place.
func (w *world) cancel() {
	w.tell("the shutdown is cancelled")

	if w.announces {
		w.lifecycles++
	}

	w.tearingDown = false
	w.kubelet.state = kubeletUp
	w.rebound.dirty = true
}

// startKubelet starts the first kubelet of a boot. It is neither healthy nor has it registered.
func (w *world) startKubelet() bool {
	if !w.on || w.kubelet.state != kubeletOff || w.now.Sub(w.booted) < kubeletAfter {
		return false
	}

	w.tell("the kubelet starts")
	w.kubelet.state = kubeletUp
	w.kubelet.run++
	w.rebound.dirty = true

	return true
}

// restartKubelet starts the kubelet anew in the same boot.
func (w *world) restartKubelet() {
	w.tell("the kubelet is restarted")

	w.kubelet.run++
	w.kubelet.state = kubeletUp
	w.healthy = false
	w.rebound.dirty = true
}

// setHealthy is what the kubelet's health check says.
func (w *world) setHealthy(healthy bool) {
	if w.healthy != healthy {
		w.tell("the kubelet is healthy: %t", healthy)
	}

	w.healthy = healthy
	w.rebound.dirty = true
}

// report has the kubelet write its Node.
func (w *world) report() {
	if w.kubelet.state == kubeletOff {
		return
	}

	w.reportedAt = w.now
	w.node = recovery.Node{
		BootID: w.bootID(), ShuttingDown: w.kubelet.state == kubeletEnding, ReportedAt: w.clock().Truncate(time.Second),
	}
}

// clock is the time on the node.
func (w *world) clock() time.Time { return w.now.Add(w.ahead) }

// setClock sets the node's clock. Rebound has a look at it before it is set again: nobody could know of a time that came and
// went between two looks.
func (w *world) setClock(ahead time.Duration) {
	if w.ahead == ahead {
		return
	}

	look := func() {
		if w.on {
			w.rebound.pass(noCrash)
		}
	}

	look()
	w.tell("the node's clock is set to be %s ahead", ahead)
	w.ahead, w.wasSet = ahead, true
	look()
}

func (w *world) gate() recovery.Gate {
	gate := recovery.Gate{
		KubeletRunning: w.kubelet.state != kubeletOff, KubeletHealthy: w.healthy,
		LifecyclePresent: true, LifecycleTearingDown: w.tearingDown,
		KubeletStart: fmt.Sprintf("%d/%d", w.kubelet.run, w.lifecycles),
		Stage:        "running", InService: true, Booted: true, NodeName: worker,
	}

	if w.tearingDown {
		gate.Stage, gate.InService, gate.Booted = "rebooting", false, false
	}

	return gate
}

func (w *world) bootFacts() recovery.Boot {
	return recovery.Boot{ID: w.bootID(), Time: w.booted.Add(w.ahead)}
}

// say has the kubelet write what became of a pod.
func (w *world) say(pod *podObject, said podStatus) {
	if said.gone {
		if len(pod.Finalizers) == 0 {
			w.tell("%s is gone", pod.Name)
			w.remove(pod.UID)
		}

		return
	}

	if pod.firstBoot == 0 {
		pod.firstBoot, pod.firstSeen = w.boot, w.now
		pod.Started = w.clock().Truncate(time.Second)
	}

	if said.failed {
		w.tell("%s has failed: %s", pod.Name, said.reason)

		if said.reason == "Terminated" {
			pod.KubeletDisrupted, pod.DisruptedAt = true, w.clock().Truncate(time.Second)
		}
	} else if said.ready || w.rejects[pod.DaemonSetID()] == "" {
		pod.admittedIn = w.kubelet.run
	}

	pod.Failed, pod.Ready, pod.Reason = said.failed, said.ready, said.reason
	w.changed(pod.UID)
}

// statuses are what the kubelet may say about a pod.
func (w *world) statuses(pod *podObject) []podStatus {
	if pod.NodeName != worker {
		return nil
	}

	statuses := w.kubelet.statuses(pod, w.rejects[pod.DaemonSetID()])
	if w.neverReady[pod.DaemonSetID()] {
		for i := range statuses {
			statuses[i].ready = false
		}
	}

	return statuses
}

// sync has the DaemonSet controller do what there is to do about a DaemonSet. It tells whether that was anything.
func (w *world) sync(id string) bool {
	if w.controllerAway {
		return false
	}

	ds, busy := w.daemonSets[id], false

	for _, step := range w.controller.steps(ds, w.podsOf(ds), w.now) {
		switch {
		case step.deletes != nil:
			if step.failed {
				w.controller.did(ds, step, w.now)
			}

			if w.delete(step.deletes.UID) == recovery.ResultDeleted {
				w.tell("the DaemonSet controller deletes %s", step.deletes.Name)

				busy = true
			}
		case !w.refusesCreates[id]:
			pod := w.create(podObject{template: ds.generation, Pod: recovery.Pod{
				Namespace: ds.namespace, Name: ds.name, NodeName: worker, Summary: "Pending",
				Owner: recovery.Owner{Group: ds.group, Version: "v1", Kind: "DaemonSet", Name: ds.name, UID: ds.uid},
			}})
			w.tell("the DaemonSet controller creates %s", pod.Name)

			busy = true
		}
	}

	ds.observed = ds.generation

	return busy
}

// collect is the garbage collector: it deletes the pods of DaemonSets that are no more.
func (w *world) collect() bool {
	known, busy := map[string]bool{}, false
	for _, ds := range w.daemonSets {
		known[ds.uid] = true
	}

	for _, pod := range w.sorted() {
		if !pod.Mirror && pod.Owner.UID != "" && isOurs(pod.Owner) && !known[pod.Owner.UID] && !pod.Deleting {
			busy = w.delete(pod.UID) == recovery.ResultDeleted || busy
		}
	}

	return busy
}

func isOurs(owner recovery.Owner) bool {
	return owner.Kind == "DaemonSet" && (owner.Group == "apps" || owner.Group == "apps.kruise.io")
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"slices"
	"time"
)

// How far the times of a history may be off. What is seen of an object comes later than it was, and a controller needs its time.
const (
	// early is by how much a request may come before the model has it due: it was received later than it was decided on.
	early = 300 * time.Millisecond
	// tardy is by how much something may come later.
	tardy = 2500 * time.Millisecond
	// echo is how long after a machine is off the last words of its kubelet may be seen.
	echo = 500 * time.Millisecond
)

// replay follows a history with the model's DaemonSet controller and kubelet, and refuses what these would not do.
type replay struct {
	history    recorded
	controller daemonSetController
	kubelet    kubelet

	now        time.Duration
	daemonSets map[string]*replayedDaemonSet
	pods       map[string]*replayedPod
	// requests are who deleted a pod, by its id.
	requests map[string]recordedEvent
	// up, ending and off are since when the machine is up, shutting down, off.
	up, ending, off time.Duration

	refused []string
	// steps counts what was checked.
	steps map[string]int
}

type replayedDaemonSet struct {
	daemonSet

	gone bool
	// emptySince is since when it has no pod; observedAt is when the controller has last acted on another generation, which
	// was observedBefore.
	emptySince, observedAt time.Duration
	observedBefore         int64
}

type replayedPod struct {
	podObject

	restarts int
	failedAt time.Duration
}

// epoch is when a history begins.
var epoch = time.Unix(0, 0)

func newReplay(history recorded, wrong wrong) *replay {
	r := &replay{
		history: history, controller: daemonSetController{backOffs: backOffs{wrong: wrong}},
		kubelet: kubelet{wrong: wrong, state: kubeletOff}, daemonSets: map[string]*replayedDaemonSet{},
		pods: map[string]*replayedPod{}, requests: map[string]recordedEvent{}, steps: map[string]int{}, off: -time.Hour,
	}

	for _, event := range history.Events {
		if event.Request != nil && event.Request.Code < 300 {
			if _, known := r.requests[event.Request.Pod]; !known {
				r.requests[event.Request.Pod] = event
			}
		}
	}

	return r
}

// run returns what was refused.
func (r *replay) run() []string {
	for _, event := range r.history.Events {
		r.now = time.Duration(event.At) * time.Millisecond

		switch {
		case event.Machine != "":
			r.machine(event.Machine)
		case event.DaemonSet != nil:
			r.daemonSet(event.DaemonSet)
		case event.Pod != nil:
			r.pod(event.Pod)
		}
	}

	r.overdue()

	return r.refused
}

func (r *replay) refuse(format string, args ...any) {
	r.refused = append(r.refused, fmt.Sprintf("%s: ", r.now)+fmt.Sprintf(format, args...))
}

func (r *replay) machine(step string) {
	r.steps[step]++

	switch step {
	case "up":
		r.up = r.now
		r.kubelet.state = kubeletUp
		r.kubelet.run++
	case "shutdown-began":
		r.ending = r.now
		r.kubelet.state = kubeletEnding
	case "down", "kubelet-killed":
		r.off = r.now
		r.kubelet.state = kubeletOff
	case "kubelet-healthy":
	default:
		r.refuse("the machine has done something unknown: %s", step)
	}
}

// kubelets are those that the kubelet may be at the moment: it hears of a shutdown later than that begins.
func (r *replay) kubelets() []kubelet {
	is := []kubelet{r.kubelet}

	with := func(state kubeletState) {
		other := r.kubelet
		other.state = state
		is = append(is, other)
	}

	switch {
	case r.kubelet.state == kubeletEnding && r.now-r.ending < tardy:
		with(kubeletUp)
	case r.kubelet.state == kubeletOff && r.now-r.off < echo:
		with(kubeletUp)
		with(kubeletEnding)
	}

	return is
}

// rejections are the reasons for which the kubelet may reject a pod of the DaemonSet at the moment; "" if it may admit it.
func (r *replay) rejections(ds *replayedDaemonSet) []string {
	late, isLate := r.history.Late[ds.name]
	since := r.now - r.up - time.Duration(late)*time.Millisecond

	switch {
	case !isLate || since > tardy:
		return []string{""}
	case since < 0:
		return []string{"UnexpectedAdmissionError"}
	default:
		return []string{"UnexpectedAdmissionError", ""}
	}
}

func (r *replay) daemonSet(seen *recordedDaemonSet) {
	ds := r.daemonSets[seen.ID]
	if ds == nil {
		ds = &replayedDaemonSet{emptySince: r.now}
		ds.uid, ds.name, ds.wanted = seen.ID, seen.Name, true
		r.daemonSets[seen.ID] = ds
	}

	if seen.Observed != ds.observed {
		ds.observedBefore, ds.observedAt = ds.observed, r.now
	}

	ds.generation, ds.observed = seen.Generation, seen.Observed
	ds.gone = seen.Change == "deleted"
}

func (r *replay) podsOf(ds *replayedDaemonSet) []*podObject {
	var pods []*podObject

	for _, pod := range r.pods {
		if pod.Owner.UID == ds.uid {
			pods = append(pods, &pod.podObject)
		}
	}

	return pods
}

// pod holds what was seen of a pod against what the model may do.
func (r *replay) pod(seen *recordedPod) {
	ds := r.daemonSets[seen.DaemonSet]
	if ds == nil {
		r.refuse("%s is there, and its DaemonSet was never seen", seen.ID)

		return
	}

	pod, known := r.pods[seen.ID]
	if !known {
		pod = r.created(ds, seen)
	}

	r.status(ds, pod, seen)

	if (seen.Deleting || seen.Change == "deleted") && !pod.Deleting {
		r.deleted(ds, pod)
		pod.Deleting = true
	}

	if seen.Change == "deleted" {
		delete(r.pods, seen.ID)
		ds.emptySince = r.now
	}
}

// created checks a create, for which there is no back-off.
func (r *replay) created(ds *replayedDaemonSet, seen *recordedPod) *replayedPod {
	r.steps["create"]++

	isCreate := func(step controllerStep) bool { return step.deletes == nil }
	if ds.gone || !slices.ContainsFunc(r.controller.steps(&ds.daemonSet, r.podsOf(ds), epoch.Add(r.now)), isCreate) {
		r.refuse("%s was created, and the model's DaemonSet controller would not have done that", seen.ID)
	}

	if waited := r.now - ds.emptySince; waited > tardy {
		r.refuse("%s was created after %s, and the model's DaemonSet controller creates at once", seen.ID, waited)
	}

	pod := &replayedPod{podObject: podObject{template: seen.Template}}
	pod.UID, pod.Owner.UID, pod.Created = seen.ID, seen.DaemonSet, epoch.Add(r.now)
	r.pods[seen.ID] = pod

	return pod
}

// status checks what the kubelet has said about a pod.
func (r *replay) status(ds *replayedDaemonSet, pod *replayedPod, seen *recordedPod) {
	said := podStatus{failed: seen.Phase == "Failed", reason: seen.Reason, ready: seen.Ready}
	is := podStatus{failed: pod.Failed, reason: pod.Reason, ready: pod.Ready}
	isStarted := seen.Started != nil && pod.Started.IsZero()

	if said == is && !isStarted && seen.Restarts == pod.restarts {
		return
	}

	r.steps["status "+said.reason]++

	if !r.mayBeSaid(ds, pod, said) {
		r.refuse("the kubelet said of %s: %+v, and the model's is %s and would not have done that", seen.ID, said, r.kubelet.state)
	}

	if seen.Started != nil {
		pod.Started = epoch.Add(time.Duration(*seen.Started) * time.Millisecond)
	}

	if said.failed || said.ready {
		pod.admittedIn = r.kubelet.run
	}

	if said.failed && !pod.Failed {
		pod.failedAt = r.now
	}

	pod.Failed, pod.Reason, pod.Ready, pod.restarts = said.failed, said.reason, said.ready, seen.Restarts
}

func (r *replay) mayBeSaid(ds *replayedDaemonSet, pod *replayedPod, said podStatus) bool {
	for _, kubelet := range r.kubelets() {
		for _, rejects := range r.rejections(ds) {
			if slices.Contains(kubelet.statuses(&pod.podObject, rejects), said) {
				return true
			}
		}
	}

	return false
}

// deleted checks who has deleted a pod, and when.
func (r *replay) deleted(ds *replayedDaemonSet, pod *replayedPod) {
	request := r.requests[pod.UID]
	if request.Request == nil {
		r.refuse("%s is being deleted, and nobody has asked for that", pod.UID)

		return
	}

	r.steps["delete by "+request.Request.By]++

	switch at := time.Duration(request.At) * time.Millisecond; request.Request.By {
	case "daemonset-controller":
		r.deletedByController(ds, pod, at)
	case "garbage-collector":
		if !ds.gone {
			r.refuse("%s was deleted as garbage, and its DaemonSet is there", pod.UID)
		}
	case "rebound":
		if !pod.Failed || !r.history.Rebound {
			r.refuse("rebound has deleted %s, which has not failed", pod.UID)
		}
	default:
		r.refuse("%s was deleted by %s", pod.UID, request.Request.By)
	}
}

func (r *replay) deletedByController(ds *replayedDaemonSet, pod *replayedPod, at time.Duration) {
	isDelete := func(step controllerStep) bool { return step.deletes == &pod.podObject }

	// It may not have seen yet that it has acted on another generation.
	observed := []int64{ds.observed}
	if r.now-ds.observedAt < tardy && ds.observedBefore != 0 {
		observed = append(observed, ds.observedBefore)
	}

	for _, generation := range observed {
		known := ds.daemonSet
		known.observed = generation
		steps := r.controller.steps(&known, r.podsOf(ds), epoch.Add(at+early))

		if i := slices.IndexFunc(steps, isDelete); i >= 0 {
			if due := r.due(ds, pod); steps[i].failed && at > due+tardy {
				r.refuse("%s was deleted at %s, and the model's DaemonSet controller would have done that at %s", pod.UID, at, due)
			}

			r.controller.did(&known, steps[i], epoch.Add(at))

			return
		}
	}

	r.refuse("%s was deleted at %s, and the model's DaemonSet controller would not have done that before %s",
		pod.UID, at, r.controller.backOffs.over(r.controller.key(&ds.daemonSet), epoch.Add(at)).Sub(epoch))
}

// due is when the DaemonSet controller deletes a Failed pod at the latest: if it finds the back-off running, it looks again
// when a whole one has passed.
func (r *replay) due(ds *replayedDaemonSet, pod *replayedPod) time.Duration {
	failed := epoch.Add(max(pod.failedAt, ds.observedAt))
	key := r.controller.key(&ds.daemonSet)

	if over := r.controller.backOffs.over(key, failed); failed.Before(over) {
		entry, _ := r.controller.backOffs.of(key, failed)
		failed = failed.Add(entry.delay)
	}

	return failed.Sub(epoch)
}

// overdue looks for what should have happened by the end.
func (r *replay) overdue() {
	for _, ds := range r.daemonSets {
		pods := r.podsOf(ds)
		if len(pods) == 0 && !ds.gone && r.now-ds.emptySince > tardy {
			r.refuse("%s has no pod, and the model's DaemonSet controller would have created one", ds.uid)
		}

		for _, pod := range pods {
			if due := r.due(ds, r.pods[pod.UID]); pod.Failed && r.now > due+tardy {
				r.refuse("%s is still there, and the model's DaemonSet controller would have deleted it at %s", pod.UID, due)
			}
		}
	}
}

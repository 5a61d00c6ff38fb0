// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/internal/backoff"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// planDaemonSet brings the record of one DaemonSet up to date with its pods on this node, and sets the action of their
// verdicts. At most one pod of a DaemonSet is dealt with at a time. It returns false if there is nothing to remember.
func (p *planner) planDaemonSet(rec specs.DaemonSetRecovery, pods []*Verdict) (specs.DaemonSetRecovery, bool) {
	if subject := p.chooseSubject(rec, pods); subject != nil {
		rec = p.planDelete(rec, subject, pods)
		putOff(pods, subject)

		return rec, true
	}

	if ending := find(pods, func(v *Verdict) bool { return v.Class == ClassDeleting }); ending != nil {
		// One that merely takes its time is no matter once its replacement lives; one that is held needs a person.
		if waiting := awaitEnd(rec, ending.Pod); len(ending.Pod.Finalizers) > 0 || replacementOf(waiting, pods) == nil {
			return waiting, true
		}
	}

	left := find(pods, func(v *Verdict) bool { return isLeftAlone(rec, v) })

	switch {
	case left != nil && (!isInCare(rec) || replacementOf(rec, pods) == nil):
		return p.leftAlone(rec, left), true
	case !isInCare(rec) && rec.Attempts == 0:
		// What was left alone is gone, and nothing was ever done.
		return rec, false
	case p.isHistory(rec, pods):
		return rec, true
	case !isInCare(rec):
		// What was left alone is gone, but the DaemonSet's pods were ours to bring back before.
		rec.Phase, rec.FinishedAt = specs.DaemonSetPhaseReplacing, time.Time{}
	}

	return p.follow(rec, pods), true
}

// isHistory tells whether the record was finished before this start of the kubelet and its DaemonSet has no pod here: it may
// have been deleted long ago. (A pod that this start cost the DaemonSet would still be there, as Failed.)
func (p *planner) isHistory(rec specs.DaemonSetRecovery, pods []*Verdict) bool {
	return len(pods) == 0 && !rec.FinishedAt.IsZero() && rec.FinishedAt.Before(p.startedAt)
}

// isInCare tells whether the record is about a pod that was, or is, to be replaced.
func isInCare(rec specs.DaemonSetRecovery) bool {
	return rec.FailedPodUID != "" && rec.Phase != specs.DaemonSetPhaseSkipped && rec.Phase != specs.DaemonSetPhaseUnrelated
}

// isLeftAlone tells whether a Failed pod is none of those that are brought back, and stays. One that is being deleted, of a
// DaemonSet that is looked after, makes room for a replacement: a pod that ends as somebody has deleted it is Failed for a
// moment, and the node has not recovered for that.
func isLeftAlone(rec specs.DaemonSetRecovery, v *Verdict) bool {
	return (v.Class == ClassOptedOut || v.Class == ClassUnrelated) && !(v.Pod.Deleting && isInCare(rec))
}

// putOff makes all pods but the subject wait for their turn.
func putOff(pods []*Verdict, subject *Verdict) {
	for _, v := range pods {
		if v != subject && v.isToBeReplaced() {
			v.Action = ActionWait
			v.Reason += "; " + subject.Pod.Name + " comes first"
		}
	}
}

// awaitEnd is about a pod that is being deleted and still there: held by its finalizers, or about to end.
func awaitEnd(rec specs.DaemonSetRecovery, pod Pod) specs.DaemonSetRecovery {
	rec = adopt(rec, pod)
	rec.DeletedAt, rec.NextAttemptAt, rec.FinishedAt = time.Time{}, time.Time{}, time.Time{}
	rec.Phase, rec.LastError = specs.DaemonSetPhaseReplacing, ""

	if len(pod.Finalizers) > 0 {
		rec.Phase = specs.DaemonSetPhaseBlocked
		rec.LastError = fmt.Sprintf("pod %q is held by finalizers: %s", pod.Name, strings.Join(pod.Finalizers, ", "))
	}

	return rec
}

func (p *planner) leftAlone(rec specs.DaemonSetRecovery, v *Verdict) specs.DaemonSetRecovery {
	rec = adopt(rec, v.Pod)
	rec.NextAttemptAt = time.Time{}
	rec.Phase = specs.DaemonSetPhaseUnrelated

	if v.Class == ClassOptedOut {
		rec.Phase = specs.DaemonSetPhaseSkipped
	}

	return p.finish(rec)
}

// finish enters since when nothing is left to do about a DaemonSet that has a pod here. A time before this start of the
// kubelet is replaced: with it, the record would count as history as soon as that pod is gone.
func (p *planner) finish(rec specs.DaemonSetRecovery) specs.DaemonSetRecovery {
	if rec.FinishedAt.Before(p.startedAt) {
		rec.FinishedAt = p.now
	}

	return rec
}

// chooseSubject returns the pod to deal with: the one that the record is about already, else the oldest one. One that is
// handed back comes last.
func (p *planner) chooseSubject(rec specs.DaemonSetRecovery, pods []*Verdict) *Verdict {
	var due, handedBack []*Verdict

	for _, v := range pods {
		switch {
		case !v.isToBeReplaced():
		case p.isHandedBack(rec, v.Pod):
			handedBack = append(handedBack, v)
		default:
			due = append(due, v)
		}
	}

	if len(due) == 0 {
		due = handedBack
	}

	if len(due) == 0 {
		return nil
	}

	if known := find(due, func(v *Verdict) bool { return v.Pod.UID == rec.FailedPodUID }); known != nil {
		return known
	}

	return slices.MinFunc(due, func(a, b *Verdict) int {
		return cmp.Or(a.Pod.since().Compare(b.Pod.since()), cmp.Compare(a.Pod.UID, b.Pod.UID))
	})
}

// find returns the first verdict that is wanted, or nil.
func find(pods []*Verdict, wanted func(*Verdict) bool) *Verdict {
	if i := slices.IndexFunc(pods, wanted); i >= 0 {
		return pods[i]
	}

	return nil
}

// adopt makes the record speak of pod. What was counted for other pods of the DaemonSet stays, even if the DaemonSet was
// deleted and created again since: the limits protect the node, and a loop of the two must not get around them.
func adopt(rec specs.DaemonSetRecovery, pod Pod) specs.DaemonSetRecovery {
	if rec.FailedPodUID == pod.UID {
		rec.Reason, rec.Message = pod.Reason, pod.Message

		return rec
	}

	return specs.DaemonSetRecovery{
		UID:                pod.Owner.UID,
		APIGroup:           pod.Owner.Group,
		FailedPod:          pod.Name,
		FailedPodUID:       pod.UID,
		FailedPodCreatedAt: pod.Created.UTC(),
		Reason:             pod.Reason,
		Message:            pod.Message,
		Attempts:           rec.Attempts,
		Rejections:         rec.Rejections,
		Deleted:            rec.Deleted,
	}
}

// planDelete decides whether a Failed pod is to be deleted now.
func (p *planner) planDelete(was specs.DaemonSetRecovery, v *Verdict, pods []*Verdict) specs.DaemonSetRecovery {
	rec := adopt(was, v.Pod)
	v.Action = ActionWait

	switch {
	case p.facts.InFlight[v.Pod.UID]:
		v.Reason += "; being deleted"

		return rec
	case p.isHandedBack(rec, v.Pod):
		return p.handBack(rec, v, pods)
	case rec.AttemptedAt.IsZero():
		return p.planFirstDelete(rec, v, was.AttemptedAt)
	case !rec.DeletedAt.IsZero() && p.now.Before(rec.DeletedAt.Add(echoTime)):
		// The delete succeeded and the watch has yet to tell.
		v.Reason += "; deleted"
		p.wakeAt(rec.DeletedAt.Add(echoTime))

		return rec
	case p.now.Before(rec.NextAttemptAt):
		v.NotBefore = rec.NextAttemptAt
		v.Reason += "; the last try failed"
		p.wakeAt(rec.NextAttemptAt)

		return rec
	default:
		v.Action = ActionDelete

		if !rec.DeletedAt.IsZero() {
			rec.Phase, rec.DeletedAt = specs.DaemonSetPhasePending, time.Time{}
		}

		return rec
	}
}

// planFirstDelete decides about a pod whose delete was not tried yet, and counts the attempt if it is due. lastAttemptAt is
// when the pod before it was tried, if the record was about another one until now.
func (p *planner) planFirstDelete(rec specs.DaemonSetRecovery, v *Verdict, lastAttemptAt time.Time) specs.DaemonSetRecovery {
	rec.Phase = specs.DaemonSetPhasePending

	due := p.firstDue(rec, v.Pod, lastAttemptAt)

	if v.Class == ClassLeftover && p.isFromThisBoot(v.Pod) {
		due = p.heldUntil(rec, v)
	}

	if p.now.Before(due) {
		rec.NextAttemptAt = due
		v.NotBefore = due
		p.wakeAt(due)

		return rec
	}

	if p.isFromThisBoot(v.Pod) {
		rec.Rejections++
	}

	rec.Attempts++
	rec.AttemptedAt = p.now
	rec.NextAttemptAt = time.Time{}
	v.Action = ActionDelete

	return rec
}

// firstDue returns when the delete of a pod is to be tried first; zero or a time that has passed means now.
//
// The back-off that Kubernetes has in this place exists to stop a hot loop between a controller that creates and a
// kubelet that rejects. So a pod of this boot waits longer each time, whatever its reason; and what is taken for a
// leftover is deleted at a bounded rate.
func (p *planner) firstDue(rec specs.DaemonSetRecovery, pod Pod, lastAttemptAt time.Time) time.Time {
	var (
		from  = lastAttemptAt
		delay time.Duration
	)

	switch {
	case p.isFromThisBoot(pod):
		from, delay = pod.since(), backoff.Delay(rec.Rejections, time.Second, rejectionDelayLimit)
	case rec.Attempts-rec.Rejections >= leftoverBurst:
		delay = leftoverInterval
	}

	due := from.Add(delay).UTC()
	if !rec.NextAttemptAt.IsZero() {
		due = rec.NextAttemptAt // as decided when the pod was seen first
	}

	// The clock that the pod's time is on may have been ahead of the present one.
	if latest := p.now.Add(delay); due.After(latest) {
		due = latest
	}

	return due
}

// heldUntil is about a pod that was shut down in this boot, and returns when its delete is to be tried first. Either the
// shutdown has begun and whoever tells of one has yet to say so, or it was cancelled. So the pod is held until the kubelet
// has reported after it; a report that speaks of a shutdown closes the gate.
func (p *planner) heldUntil(rec specs.DaemonSetRecovery, v *Verdict) time.Time {
	if p.facts.Link.Node.ReportedAt.After(v.Pod.endedAt()) {
		rec.NextAttemptAt = time.Time{}

		return p.firstDue(rec, v.Pod, time.Time{})
	}

	v.Reason += "; held until the kubelet has reported whether the node is shutting down"
	p.lookAtNode()

	limit := p.now.Add(reportTime)
	if first := rec.NextAttemptAt; !first.IsZero() && first.Before(limit) {
		return first // as decided when the pod was seen first
	}

	return limit
}

// isHandedBack tells whether a pod is left to the DaemonSet controller: the pods of its DaemonSet have failed too often in
// this boot, and its own delete was not counted before.
func (p *planner) isHandedBack(rec specs.DaemonSetRecovery, pod Pod) bool {
	isCounted := rec.FailedPodUID == pod.UID && !rec.AttemptedAt.IsZero()

	return !isCounted && p.isFromThisBoot(pod) && rec.Rejections >= p.facts.Settings.RejectionCap
}

// handBack is about a pod of a DaemonSet whose pods have failed too often in this boot. It is left to the DaemonSet
// controller, and is no matter as long as another pod of the DaemonSet is Ready, as there may be with maxSurge.
func (p *planner) handBack(rec specs.DaemonSetRecovery, v *Verdict, pods []*Verdict) specs.DaemonSetRecovery {
	v.Action = ActionKeep
	v.Reason += fmt.Sprintf("; handed back to the DaemonSet controller after %d deletes", rec.Rejections)
	rec.NextAttemptAt = time.Time{}

	ready := replacementOf(rec, pods)
	if ready == nil || !ready.Pod.Ready {
		rec.Phase, rec.FinishedAt = specs.DaemonSetPhaseExhausted, time.Time{}
		rec.Replacement, rec.ReplacementStatus = "", ""

		return rec
	}

	return p.recovered(rec, ready.Pod)
}

// settleAttempt enters the outcome of a delete into the record. It changes more than the count only if the record is about
// that pod and still has it to be deleted: the watch may have told first that it is gone.
func settleAttempt(rec specs.DaemonSetRecovery, outcome Outcome, now time.Time) specs.DaemonSetRecovery {
	if outcome.Result == ResultDeleted {
		rec.Deleted++
	}

	isOpen := rec.Phase == specs.DaemonSetPhasePending || rec.Phase == specs.DaemonSetPhaseBlocked
	if rec.FailedPodUID != outcome.PodUID || !isOpen {
		return rec
	}

	switch outcome.Result {
	case ResultDeleted, ResultGone:
		rec.Phase = specs.DaemonSetPhaseReplacing
		rec.DeletedAt = now
		rec.NextAttemptAt = time.Time{}
		rec.Failures = 0
		rec.LastError = ""
	case ResultRefused:
		rec.Phase = specs.DaemonSetPhaseBlocked
		rec = failAttempt(rec, outcome, now, refusedDelay, refusedDelayLimit)
	case ResultFailed:
		// Whatever it is that fails again and again, such as a webhook that cannot be called, somebody has to look at it.
		rec = failAttempt(rec, outcome, now, failedDelay, failedDelayLimit)
		if rec.Failures >= blockedAfter {
			rec.Phase = specs.DaemonSetPhaseBlocked
		}
	case ResultAbandoned:
		// If the decision still sees the gate open, it must not ask again before it can have seen what closed it.
		rec.NextAttemptAt = now.Add(failedDelay)
	}

	return rec
}

func failAttempt(rec specs.DaemonSetRecovery, outcome Outcome, now time.Time, first, limit time.Duration) specs.DaemonSetRecovery {
	rec.Failures++
	rec.LastError = outcome.Error
	rec.NextAttemptAt = now.Add(backoff.Delay(rec.Failures, first, limit))

	return rec
}

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

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// planDaemonSet brings the record of one DaemonSet up to date with its pods on this node, and sets the action of their
// verdicts. At most one pod of a DaemonSet is dealt with at a time. It returns false if there is nothing to remember.
func (p *planner) planDaemonSet(rec specs.DaemonSetRecovery, pods []*Verdict) (specs.DaemonSetRecovery, bool) {
	if subject := chooseSubject(rec, pods); subject != nil {
		rec = p.planDelete(rec, subject)
		putOff(pods, subject)

		return rec, true
	}

	if ending := find(pods, func(v *Verdict) bool { return v.Class == ClassDeleting }); ending != nil {
		// One that merely takes its time is no matter once its replacement lives; one that is held needs a person.
		if waiting := awaitEnd(rec, ending.Pod); len(ending.Pod.Finalizers) > 0 || replacementOf(waiting, pods) == nil {
			return waiting, true
		}
	}

	left := find(pods, func(v *Verdict) bool { return v.Class == ClassOptedOut || v.Class == ClassUnrelated })

	switch {
	case isInCare(rec) && (left == nil || replacementOf(rec, pods) != nil):
		return p.follow(rec, pods), true
	case left != nil:
		return leftAlone(rec, left), true
	case rec.Attempts == 0:
		// What was left alone is gone, and nothing was ever done.
		return rec, false
	default:
		// What was left alone is gone, but the DaemonSet's pods were ours to bring back before.
		rec.Phase = specs.DaemonSetPhaseReplacing

		return p.follow(rec, pods), true
	}
}

// isInCare tells whether the record is about a pod that was, or is, to be replaced.
func isInCare(rec specs.DaemonSetRecovery) bool {
	return rec.FailedPodUID != "" && rec.Phase != specs.DaemonSetPhaseSkipped && rec.Phase != specs.DaemonSetPhaseUnrelated
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

func leftAlone(rec specs.DaemonSetRecovery, v *Verdict) specs.DaemonSetRecovery {
	rec = adopt(rec, v.Pod)
	rec.NextAttemptAt = time.Time{}
	rec.Phase = specs.DaemonSetPhaseUnrelated

	if v.Class == ClassOptedOut {
		rec.Phase = specs.DaemonSetPhaseSkipped
	}

	return rec
}

// chooseSubject returns the pod to deal with: the one that the record is about already, else the oldest one.
func chooseSubject(rec specs.DaemonSetRecovery, pods []*Verdict) *Verdict {
	var due []*Verdict

	for _, v := range pods {
		if v.isToBeReplaced() {
			due = append(due, v)
		}
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
// deleted and created again since: the cap protects the node, and a loop of the two must not get around it.
func adopt(rec specs.DaemonSetRecovery, pod Pod) specs.DaemonSetRecovery {
	if rec.FailedPodUID == pod.UID {
		rec.Reason, rec.Message = pod.Reason, pod.Message

		return rec
	}

	return specs.DaemonSetRecovery{
		UID:          pod.Owner.UID,
		APIGroup:     pod.Owner.Group,
		FailedPod:    pod.Name,
		FailedPodUID: pod.UID,
		Reason:       pod.Reason,
		Message:      pod.Message,
		Attempts:     rec.Attempts,
		Rejections:   rec.Rejections,
		Deleted:      rec.Deleted,
	}
}

// planDelete decides whether a Failed pod is to be deleted now.
func (p *planner) planDelete(rec specs.DaemonSetRecovery, v *Verdict) specs.DaemonSetRecovery {
	rec = adopt(rec, v.Pod)
	v.Action = ActionWait

	switch {
	case p.facts.InFlight[v.Pod.UID]:
		v.Reason += "; being deleted"

		return rec
	case rec.AttemptedAt.IsZero():
		return p.planFirstDelete(rec, v)
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

// planFirstDelete decides about a pod whose delete was not tried yet, and counts the attempt if it is due.
//
// The back-off that Kubernetes has in this place exists to stop a hot loop between a controller that creates and a
// kubelet that rejects. So every delete is capped; and one that a pod of this boot caused waits longer each time,
// whatever the pod's reason.
func (p *planner) planFirstDelete(rec specs.DaemonSetRecovery, v *Verdict) specs.DaemonSetRecovery {
	startedInThisBoot := !v.Pod.since().Before(p.facts.Boot.Time)

	made := rec.Attempts - rec.Rejections
	if startedInThisBoot {
		made = rec.Rejections
	}

	if made >= p.facts.Settings.RejectionCap {
		v.Reason += fmt.Sprintf("; handed back to the DaemonSet controller after %d deletes", made)
		v.Action = ActionKeep
		rec.Phase = specs.DaemonSetPhaseExhausted
		rec.NextAttemptAt = time.Time{}

		return rec
	}

	rec.Phase = specs.DaemonSetPhasePending

	if startedInThisBoot {
		due := v.Pod.since().Add(doubling(made, time.Second, rejectionDelayLimit)).UTC()
		if p.now.Before(due) {
			rec.NextAttemptAt = due
			v.NotBefore = due
			p.wakeAt(due)

			return rec
		}

		rec.Rejections++
	}

	rec.Attempts++
	rec.AttemptedAt = p.now
	rec.NextAttemptAt = time.Time{}
	v.Action = ActionDelete

	return rec
}

// settleAttempt enters the outcome of a delete into the record, if it still is about that pod.
func settleAttempt(rec specs.DaemonSetRecovery, outcome Outcome) specs.DaemonSetRecovery {
	if outcome.Result == ResultDeleted {
		rec.Deleted++
	}

	if rec.FailedPodUID != outcome.PodUID {
		return rec
	}

	outcome.At = outcome.At.UTC().Round(0) // as it is published

	switch outcome.Result {
	case ResultDeleted, ResultGone:
		rec.Phase = specs.DaemonSetPhaseReplacing
		rec.DeletedAt = outcome.At
		rec.NextAttemptAt = time.Time{}
		rec.Failures = 0
		rec.LastError = ""
	case ResultRefused:
		rec.Phase = specs.DaemonSetPhaseBlocked
		rec = failAttempt(rec, outcome, refusedDelay, refusedDelayLimit)
	case ResultFailed:
		rec.Phase = specs.DaemonSetPhasePending
		rec = failAttempt(rec, outcome, failedDelay, failedDelayLimit)
	case ResultAbandoned:
		// If the decision still sees the gate open, it must not ask again before it can have seen what closed it.
		rec.NextAttemptAt = outcome.At.Add(failedDelay)
	}

	return rec
}

func failAttempt(rec specs.DaemonSetRecovery, outcome Outcome, first, limit time.Duration) specs.DaemonSetRecovery {
	rec.Failures++
	rec.LastError = outcome.Error
	rec.NextAttemptAt = outcome.At.Add(doubling(rec.Failures, first, limit))

	return rec
}

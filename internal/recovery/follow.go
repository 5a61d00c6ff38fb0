// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// follow looks for the replacement of a pod that is gone, and looks after it until the whole node has recovered.
func (p *planner) follow(rec specs.DaemonSetRecovery, pods []*Verdict) specs.DaemonSetRecovery {
	replacement := replacementOf(rec, pods)
	if replacement != nil {
		// The DaemonSet may have been deleted and created again.
		rec.UID = replacement.Pod.Owner.UID
	}

	hadOne := rec.Replacement != "" || rec.Phase == specs.DaemonSetPhaseRecovered

	// Either somebody else deleted the Failed pod, before or after our own try. Or there was a replacement, Ready or not, and
	// it is gone again: the wait for a pod starts anew.
	if rec.DeletedAt.IsZero() || hadOne && replacement == nil {
		rec.DeletedAt = p.now
	}

	rec.NextAttemptAt = time.Time{}
	rec.Failures = 0
	rec.LastError = ""

	switch {
	case replacement == nil && rec.Phase == specs.DaemonSetPhaseReleased:
		return rec
	case replacement == nil:
		rec.Replacement, rec.ReplacementStatus = "", ""

		return p.awaitReplacement(rec)
	case replacement.Pod.Ready:
		return p.recovered(rec, replacement.Pod)
	default:
		rec.Phase = specs.DaemonSetPhaseReplacing
		rec.Replacement, rec.ReplacementStatus = replacement.Pod.Name, replacement.Pod.Summary
		rec.FinishedAt = time.Time{}
	}

	return rec
}

// recovered enters the Ready pod that is in the place of the Failed one. Since when that is so stays the same while it is.
func (p *planner) recovered(rec specs.DaemonSetRecovery, ready Pod) specs.DaemonSetRecovery {
	if rec.Phase != specs.DaemonSetPhaseRecovered {
		rec.FinishedAt = time.Time{}
	}

	rec = p.finish(rec)

	rec.Phase = specs.DaemonSetPhaseRecovered
	rec.Replacement, rec.ReplacementStatus = ready.Name, ""

	return rec
}

// replacementOf returns the living pod of the record's DaemonSet, a Ready one first; nil if there is none.
//
// A pod of another DaemonSet of the same name counts if it is not older than the Failed pod: the DaemonSet was deleted and
// created again. An older one is what the DaemonSet before this one has left.
func replacementOf(rec specs.DaemonSetRecovery, pods []*Verdict) *Verdict {
	isIts := func(v *Verdict) bool { return isReplacement(rec, v.Class, v.Pod) }

	if ready := find(pods, func(v *Verdict) bool { return isIts(v) && v.Pod.Ready }); ready != nil {
		return ready
	}

	return find(pods, isIts)
}

func isReplacement(rec specs.DaemonSetRecovery, class Class, pod Pod) bool {
	return class == ClassAlive && !pod.Deleting &&
		(pod.Owner.UID == rec.UID || !pod.Created.Before(rec.FailedPodCreatedAt))
}

// awaitReplacement decides whether to wait on for a replacement, or to conclude that there will be none.
//
// The node may not ask whether the DaemonSet still wants a pod here. That none comes says something only if the DaemonSet
// controller is at work; otherwise a health check would pass just because the controller manager is away. Even then it
// may be that the controller's creates are refused (a quota, a webhook, PodSecurity): so the pod is looked out for as long
// as the kubelet runs.
func (p *planner) awaitReplacement(rec specs.DaemonSetRecovery) specs.DaemonSetRecovery {
	rec.Phase = specs.DaemonSetPhaseReplacing
	rec.FinishedAt = time.Time{}

	giveUpAfter := releaseWithoutSignAfter
	if p.hasSignOfLife(rec) {
		giveUpAfter = releaseAfter
	}

	waited := p.now.Sub(p.waitingSince(rec))

	switch {
	case waited >= giveUpAfter:
		rec.Phase = specs.DaemonSetPhaseReleased
		rec.FinishedAt = p.now
	case waited < missedAfter:
		p.wakeAt(p.now.Add(missedAfter - waited))
	default:
		p.wakeAt(p.now.Add(giveUpAfter - waited))
	}

	return rec
}

// waitingSince is since when a replacement could have been seen: not before the pods were listed. While the API server is
// away nothing can come, and that nothing comes says nothing.
func (p *planner) waitingSince(rec specs.DaemonSetRecovery) time.Time {
	if p.facts.Link.SyncedAt.After(rec.DeletedAt) {
		return p.facts.Link.SyncedAt
	}

	return rec.DeletedAt
}

// hasSignOfLife tells whether the controller of the DaemonSet has created a pod on this node since the record's pod was
// deleted. Every API group has a controller of its own. Times of creation come in whole seconds, so a pod of the same
// second counts.
func (p *planner) hasSignOfLife(rec specs.DaemonSetRecovery) bool {
	since := rec.DeletedAt.Truncate(time.Second)

	for _, pod := range p.facts.Link.Pods {
		class, _ := p.classify(pod)
		if class != ClassForeign && pod.Owner.Group == rec.APIGroup && !pod.Created.Before(since) {
			return true
		}
	}

	return false
}

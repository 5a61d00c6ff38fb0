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

	if rec.Phase == specs.DaemonSetPhaseRecovered {
		if replacement != nil && replacement.Pod.Ready {
			return rec
		}

		if replacement == nil {
			// It was Ready and is gone again: the wait for a pod starts anew.
			rec.DeletedAt = p.now
		}
	}

	if rec.DeletedAt.IsZero() {
		// Somebody else deleted it, before or after our own try.
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
		rec.Phase = specs.DaemonSetPhaseRecovered
		rec.Replacement, rec.ReplacementStatus = replacement.Pod.Name, ""
		rec.FinishedAt = p.now
	default:
		rec.Phase = specs.DaemonSetPhaseReplacing
		rec.Replacement, rec.ReplacementStatus = replacement.Pod.Name, replacement.Pod.Summary
		rec.FinishedAt = time.Time{}
	}

	return rec
}

// replacementOf returns the living pod of the same DaemonSet, a Ready one first; nil if there is none.
func replacementOf(rec specs.DaemonSetRecovery, pods []*Verdict) *Verdict {
	ofSame := func(v *Verdict) bool {
		return v.Class == ClassAlive && !v.Pod.Deleting && v.Pod.Owner.UID == rec.UID
	}

	if ready := find(pods, func(v *Verdict) bool { return ofSame(v) && v.Pod.Ready }); ready != nil {
		return ready
	}

	return find(pods, ofSame)
}

// awaitReplacement decides whether to wait on for a replacement, or to conclude that there will be none.
//
// The node may not ask whether the DaemonSet still wants a pod here. That none comes says so only if the DaemonSet
// controller is at work; otherwise a health check would pass just because the controller manager is away.
func (p *planner) awaitReplacement(rec specs.DaemonSetRecovery) specs.DaemonSetRecovery {
	rec.Phase = specs.DaemonSetPhaseReplacing
	rec.FinishedAt = time.Time{}

	missedAt, givenUpAt := p.waitingSince(rec).Add(releaseAfter), p.waitingSince(rec).Add(releaseWithoutSignAfter)

	switch {
	case p.now.Before(missedAt):
		p.wakeAt(missedAt)
	case p.now.Before(givenUpAt) && !p.hasSignOfLife(rec):
		p.wakeAt(givenUpAt)
	default:
		rec.Phase = specs.DaemonSetPhaseReleased
		rec.FinishedAt = p.now
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
		class, _ := classify(pod, p.facts.Gate.NodeName, p.facts.Boot, p.facts.Settings.OwnerGroups)
		if class != ClassForeign && pod.Owner.Group == rec.APIGroup && !pod.Created.Before(since) {
			return true
		}
	}

	return false
}

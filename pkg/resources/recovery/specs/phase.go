// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package specs

// Phase is where the recovery of the whole node stands. The zero value is PhaseWaiting: nothing is known yet.
type Phase int

const (
	// PhaseWaiting means that something has to come first; the message names it.
	PhaseWaiting Phase = iota // waiting
	// PhaseRecovering means that Failed DaemonSet pods are being replaced, or that the node is watched for a last moment.
	PhaseRecovering // recovering
	// PhaseRecovered means that no DaemonSet pod of this node is Failed or missing because of the reboot.
	PhaseRecovered // recovered
	// PhaseDegraded means that some DaemonSet needs a person: its pod is blocked or exhausted. It heals by itself
	// as soon as the cause is gone.
	PhaseDegraded // degraded
	// PhaseDisabled means that the node does not register with Kubernetes, so there is nothing to recover.
	PhaseDisabled // disabled
)

// DaemonSetPhase is where the recovery of one DaemonSet on this node stands. The zero value is DaemonSetPhasePending.
type DaemonSetPhase int

const (
	// DaemonSetPhasePending means that a Failed pod was found and is to be deleted, at NextAttemptAt at the earliest.
	DaemonSetPhasePending DaemonSetPhase = iota // pending
	// DaemonSetPhaseReplacing means that the Failed pod is gone and its replacement is not Ready yet.
	DaemonSetPhaseReplacing // replacing
	// DaemonSetPhaseRecovered means that a replacement is Ready.
	DaemonSetPhaseRecovered // recovered
	// DaemonSetPhaseReleased means that no replacement came and that the node's health no longer waits for one. Why is not
	// known: the DaemonSet may not want a pod on this node any more, or its pods may not be created. One that comes later in
	// this boot is looked after again.
	DaemonSetPhaseReleased // released
	// DaemonSetPhaseExhausted means that the pods of the DaemonSet failed so often in this boot that deleting them is
	// left to the DaemonSet controller and its back-off.
	DaemonSetPhaseExhausted // exhausted
	// DaemonSetPhaseBlocked means that the delete was refused or is held up by finalizers; LastError has the words.
	DaemonSetPhaseBlocked // blocked
	// DaemonSetPhaseSkipped means that the pod carries the annotation that opts it out.
	DaemonSetPhaseSkipped // skipped
	// DaemonSetPhaseUnrelated means that the pod failed for a reason that has nothing to do with the reboot.
	DaemonSetPhaseUnrelated // unrelated
)

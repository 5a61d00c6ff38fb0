// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Decision is what to do, what to publish and when to decide again.
type Decision struct {
	// Obstacle is why nothing may be deleted; ObstacleNone if it may.
	Obstacle Obstacle
	// Connect is whether the API server is needed: a connection is to be opened or kept, or else to be closed.
	Connect bool
	// ReadNode is whether the Node object is to be read again.
	ReadNode bool
	// Verdicts has one entry for every pod of Link.Pods, in order of namespace, name and UID; empty while the gate is
	// closed.
	Verdicts []Verdict
	// Status and DaemonSets are to be published, and DaemonSets that are not in it are to be removed.
	//
	// They must be published before the deletes of Verdicts are carried out: they count attempts ahead of them, so that a
	// restart in between cannot exceed the cap.
	Status     specs.RecoveryStatus
	DaemonSets map[string]specs.DaemonSetRecovery
	// LookAgain is when to decide again if nothing changes before; zero if only a change can matter.
	LookAgain time.Time
}

// Verdict is what becomes of one pod.
type Verdict struct {
	Pod    Pod
	Class  Class
	Action Action
	// Reason explains the class, and the action where it does not follow from it.
	Reason string
	// NotBefore is the earliest time of a delete that has to wait; zero otherwise.
	NotBefore time.Time
}

// isToBeReplaced tells whether the pod is one of those that are deleted, now or later.
func (v *Verdict) isToBeReplaced() bool { return v.Class == ClassLeftover || v.Class == ClassRejected }

// Action is what to do with a pod. The zero value is ActionKeep.
type Action int

const (
	// ActionKeep leaves the pod alone.
	ActionKeep Action = iota
	// ActionWait leaves the pod alone for now: a delete is not due yet, or under way already.
	ActionWait
	// ActionDelete deletes the pod now, with its UID as a precondition.
	ActionDelete
)

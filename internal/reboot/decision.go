// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "time"

// Decision is what to write, what to do and when to decide again.
type Decision struct {
	// Holders are to be the holders of the budget's slots, and Waiting its number of those who wait. Nil if there is no budget.
	Holders map[string]Holder
	Waiting int
	// Reboots has what comes next for every NodeReboot, by the name of the node.
	Reboots map[string]Next
	// Queue are the nodes that wait, in their order.
	Queue []string
	// Wishes are NodeReboots to be made, or asked for anew, because the node's agent wants it; Withdrawn are those to be
	// deleted because it no longer does.
	Wishes    []Wish
	Withdrawn []string
	// Strays are nodes to be given back that are in no step of any NodeReboot. It is to be looked up first whether that is so.
	Strays []string
	// Checks are nodes whose Talos API is to be asked whether it can be used.
	Checks []string
	// LookAgain is when to decide again if nothing changes before; zero if only a change can matter.
	LookAgain time.Time
}

// Next is what comes next for one NodeReboot. The effects belong to the status that was read, so they hold whether or not
// Status gets written.
type Next struct {
	// Status is to be written if it differs.
	Status Status
	// Finalizer is whether the finalizer is to be on the object.
	Finalizer bool

	// Cordon is the mark with which the node is to be cordoned; empty if it is not to be.
	Cordon string
	// Restore is the mark with which the node is to be given back: our cordon and our grant are removed. Empty if not.
	Restore string
	// Grant is the boot for which the grant is to be written; empty if it is not to be.
	Grant string
	// CallTalos is whether the Talos API is to be asked to reboot the node.
	CallTalos bool
	// Pods are those that are to leave now.
	Pods []PodAction
}

// PodAction makes a pod leave.
type PodAction struct {
	Pod Pod
	// Delete is whether it is deleted, and not evicted: it has finished, or force applies.
	Delete bool
	// Forced is whether that is past a PodDisruptionBudget.
	Forced bool
	// GracePeriodSeconds takes the place of the pod's own; nil leaves it.
	GracePeriodSeconds *int64
}

// Wish is a reboot that a node itself wants.
type Wish struct {
	Node   string
	Reason string
	At     time.Time
	// UID is that of the NodeReboot which is to ask for it anew; empty if one is to be made.
	UID string
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Finalizer is on a NodeReboot from its cordon until the node is given back, so that one that is deleted in between
	// leaves no cordon and no slot behind.
	Finalizer = GroupName + "/coordinator"
	// OriginLabel on a NodeReboot says who asked. With OriginNode it goes with the wish of the node's agent.
	OriginLabel = GroupName + "/origin"
	// OriginNode is the value of OriginLabel for what the coordinator made of the wish of an agent.
	OriginNode = "node"
)

// NodeReboot says that the node of the same name is to be rebooted. The coordinator makes one of the wish of a node's agent,
// or a person does. All of them are the queue.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Place",type=integer,JSONPath=`.status.place`
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.status.policy`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
type NodeReboot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Spec NodeRebootSpec `json:"spec,omitempty"`
	// +optional
	Status NodeRebootStatus `json:"status,omitempty"`
}

// NodeRebootSpec is what is asked for.
type NodeRebootSpec struct {
	// Reason is why, in the words of who asks.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
	// Priority takes the place of the policy's: the highest one goes first.
	//
	// +optional
	Priority *int32 `json:"priority,omitempty"`
	// NotBefore is the earliest time at which the reboot may begin.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[^a-z]+T[^a-z]+(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
	// Suspend keeps the reboot from beginning. If it has begun and was not granted yet, the node is given back.
	//
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// Force reboots the node outside its window, gates, cooldown and quorum, and deletes pods past their
	// PodDisruptionBudgets. It still takes a slot.
	//
	// +optional
	Force bool `json:"force,omitempty"`
	// RequestedAt is when the reboot was asked for, if that is not when the object was created. Once a reboot is Done, another
	// value asks for the next one.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[^a-z]+T[^a-z]+(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`
}

// Phase is how far a reboot is.
//
// +kubebuilder:validation:Enum=Pending;Cordoned;Drained;Granted;Back;Done;Restoring
type Phase string

// The phases, in their order. What a phase leads to is done after it was written, so that whoever takes over knows.
const (
	// PhasePending: it waits; the reason says for what.
	PhasePending Phase = "Pending"
	// PhaseCordoned: the node is cordoned and its pods leave.
	PhaseCordoned Phase = "Cordoned"
	// PhaseDrained: the pods have left.
	PhaseDrained Phase = "Drained"
	// PhaseGranted: the node may reboot, and nothing can take that back.
	PhaseGranted Phase = "Granted"
	// PhaseBack: the node is back in another boot, and has to stay so for a while.
	PhaseBack Phase = "Back"
	// PhaseDone: the node was rebooted and is schedulable again.
	PhaseDone Phase = "Done"
	// PhaseRestoring: the attempt was given up and the node is being given back. Pending comes next.
	PhaseRestoring Phase = "Restoring"
)

// NodeRebootStatus is how far the reboot is, and why no further.
type NodeRebootStatus struct {
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Reason is what it waits for or does, in one word.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message is the same for people.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Policy is the RebootPolicy that the node belongs to; empty if there is none.
	//
	// +optional
	Policy string `json:"policy,omitempty"`
	// Place is the place in the queue, from 1 on; 0 if it is not in it.
	//
	// +optional
	Place int32 `json:"place,omitempty"`
	// RequestedAt is the request that all of this is about.
	//
	// +optional
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`
	// BootID is the boot in which the attempt began.
	//
	// +optional
	BootID string `json:"bootID,omitempty"`
	// Attempt counts the slots that were taken for this object.
	//
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// FailedAttempts counts those since the request that were given up.
	//
	// +optional
	FailedAttempts int32 `json:"failedAttempts,omitempty"`
	// NextAttemptAt is the earliest time of the next attempt, after one that was given up.
	//
	// +optional
	NextAttemptAt *metav1.Time `json:"nextAttemptAt,omitempty"`
	// BlockedBy are pods that cannot be evicted, up to ten of them.
	//
	// +optional
	// +listType=atomic
	BlockedBy []BlockingPod `json:"blockedBy,omitempty"`
	// Steps are the times at which the phases of the present attempt, or of the last one, began.
	//
	// +optional
	// +listType=map
	// +listMapKey=phase
	Steps []Step `json:"steps,omitempty"`
	// SettledSince is since when the node has been back without a break; unset while it is not.
	//
	// +optional
	SettledSince *metav1.Time `json:"settledSince,omitempty"`
	// Results are how the last five attempts ended, the latest first.
	//
	// +optional
	// +listType=atomic
	Results []Result `json:"results,omitempty"`
}

// BlockingPod is a pod that cannot be evicted.
type BlockingPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Budgets are the PodDisruptionBudgets that select it.
	//
	// +optional
	// +listType=atomic
	Budgets []string `json:"budgets,omitempty"`
	// Message is what the API server said, or what keeps the pod.
	//
	// +optional
	Message string `json:"message,omitempty"`
}

// Step is when a phase began.
type Step struct {
	Phase Phase       `json:"phase"`
	At    metav1.Time `json:"at"`
}

// Outcome is how an attempt ended.
//
// +kubebuilder:validation:Enum=Rebooted;GivenUp
type Outcome string

const (
	// OutcomeRebooted means that the node was rebooted and is back.
	OutcomeRebooted Outcome = "Rebooted"
	// OutcomeGivenUp means that the node was given back without a reboot.
	OutcomeGivenUp Outcome = "GivenUp"
)

// Result is how an attempt ended.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message    string      `json:"message,omitempty"`
	StartedAt  metav1.Time `json:"startedAt"`
	FinishedAt metav1.Time `json:"finishedAt"`
}

// NodeRebootList is a list of NodeReboots.
//
// +kubebuilder:object:root=true
type NodeRebootList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []NodeReboot `json:"items"`
}

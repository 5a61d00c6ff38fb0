// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RebootBudgetName is the name of the one RebootBudget that there is.
const RebootBudgetName = "default"

// RebootBudget says how many nodes may be down for a reboot at a time, over all policies, and who they are. The slots are
// taken and given back by an update of this one object at its resource version, so that two coordinators at once cannot
// both take the last one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.maxUnavailable`
// +kubebuilder:printcolumn:name="Paused",type=boolean,JSONPath=`.spec.paused`
// +kubebuilder:printcolumn:name="Held-By",type=string,JSONPath=`.status.heldBy`
// +kubebuilder:printcolumn:name="Waiting",type=integer,JSONPath=`.status.waiting`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="metadata.name must be default: there is one RebootBudget"
type RebootBudget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Spec RebootBudgetSpec `json:"spec,omitempty"`
	// +optional
	Status RebootBudgetStatus `json:"status,omitempty"`
}

// RebootBudgetSpec is what an administrator wants.
type RebootBudgetSpec struct {
	// MaxUnavailable is how many nodes may be unavailable at a time. Nodes that are not Ready, or that somebody else has
	// cordoned, count as well.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	MaxUnavailable int32 `json:"maxUnavailable,omitempty"`
	// Paused lets no further reboot begin. Those that have begun are brought to an end: a node that is drained and not yet
	// granted its reboot is given back.
	//
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// RebootBudgetStatus is who holds a slot.
type RebootBudgetStatus struct {
	// Holders are the nodes that hold a slot, by name.
	//
	// +optional
	// +listType=map
	// +listMapKey=node
	Holders []SlotHolder `json:"holders,omitempty"`
	// HeldBy is the same in words, for kubectl get: a column shows no more than the first element of a list.
	//
	// +optional
	HeldBy string `json:"heldBy,omitempty"`
	// Waiting is how many nodes wait for their reboot.
	//
	// +optional
	Waiting int32 `json:"waiting"`
}

// SlotHolder is a node that holds a slot.
type SlotHolder struct {
	// Node is the node's name, and that of its NodeReboot.
	Node string `json:"node"`
	// UID is that of the NodeReboot.
	UID types.UID `json:"uid"`
	// Attempt is the attempt of the NodeReboot that the slot was taken for; see its status.
	Attempt int32 `json:"attempt"`
	// Policy is the RebootPolicy of the node when the slot was taken; the slot is one of that policy's as well.
	Policy string `json:"policy"`
	// Since is when the slot was taken.
	Since metav1.Time `json:"since"`
	// Step is how far the reboot is: the phase of the NodeReboot.
	Step Phase `json:"step"`
}

// RebootBudgetList is a list of RebootBudgets.
//
// +kubebuilder:object:root=true
type RebootBudgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []RebootBudget `json:"items"`
}

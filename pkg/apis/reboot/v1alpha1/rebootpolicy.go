// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// RebootPolicy says how a set of nodes is rebooted. A node belongs to the policy that selects it and has the highest
// precedence, and among equals to the one whose name comes first. A node without a policy is never rebooted.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Precedence",type=integer,JSONPath=`.spec.precedence`
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Max",type=string,JSONPath=`.spec.maxUnavailable`
// +kubebuilder:printcolumn:name="On-Blocked",type=string,JSONPath=`.spec.drain.onBlocked`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RebootPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Spec RebootPolicySpec `json:"spec,omitempty"`
}

// RebootPolicySpec is which nodes, when and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.windows) || self.windows.all(w, timestamp((w.end > w.start ? '2000-01-01T' : '2000-01-02T') + w.end + ':00Z') - timestamp('2000-01-01T' + w.start + ':00Z') >= duration(self.drain.timeout))",fieldPath=".windows",message="each window must be at least as long as drain.timeout"
type RebootPolicySpec struct {
	// NodeSelector selects the nodes by their labels; empty selects all of them. Prefer labels that begin with
	// node-restriction.kubernetes.io/, or node-role.kubernetes.io/: most others a node may set itself, and so choose its policy.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, has(e.values) && size(e.values) > 0 ? e.operator in ['In', 'NotIn'] : e.operator in ['Exists', 'DoesNotExist'])",message="operators are In and NotIn with values, Exists and DoesNotExist without"
	NodeSelector metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// Precedence decides between policies that select the same node: the highest one counts.
	//
	// +optional
	Precedence int32 `json:"precedence,omitempty"`
	// Priority is that of the nodes' reboots: the highest one goes first. A NodeReboot may have one of its own.
	//
	// +optional
	Priority int32 `json:"priority,omitempty"`
	// MaxUnavailable is how many nodes of this policy may be unavailable at a time: a number from 1 on, or a percentage of
	// them from 1% to 100%, rounded down but never to 0. The RebootBudget counts as well.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 && self <= 2147483647 : self.matches('^([1-9][0-9]?|100)%$')",message="must be a number from 1 on, or a percentage from 1% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// Windows are when a reboot may begin and be prepared; none means at any time. A reboot begins only if drain.timeout
	// fits before the end of the window, so a window that is shorter is refused.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Windows []Window `json:"windows,omitempty"`
	// Drain is how the pods leave the node.
	//
	// +optional
	// +kubebuilder:default={}
	Drain Drain `json:"drain,omitempty"`
	// Reboot is how the node is rebooted.
	//
	// +optional
	// +kubebuilder:default={}
	Reboot Reboot `json:"reboot,omitempty"`
	// Gates are what has to be true of a node.
	//
	// +optional
	// +kubebuilder:default={}
	Gates Gates `json:"gates,omitempty"`
	// Cooldown is the least time between two reboots of one node.
	//
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration, as 1h30m"
	Cooldown metav1.Duration `json:"cooldown,omitempty"`
}

// Weekday is a day of the week, by the first three letters of its English name.
//
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// Window is a stretch of wall-clock time. It belongs to the day on which it starts: with Fri, 22:00 and 02:00 it ends on
// Saturday. A start that a clock change skips is the next moment that exists; one that occurs twice counts once.
type Window struct {
	// Days are those on which the window starts; none means every day.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days,omitempty"`
	// Start is the time of day at which the window opens, as 22:00.
	//
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	Start string `json:"start"`
	// End is the time of day at which it closes. If that is not after Start it is on the next day, so that with the same
	// time the window lasts for a whole day.
	//
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	End string `json:"end"`
	// TimeZone is the IANA time zone of Start and End, as Europe/Berlin.
	//
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Local' && !self.contains(':') && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",message="must be the name of a time zone, as Europe/Berlin"
	TimeZone string `json:"timeZone,omitempty"`
}

// OnBlocked is what happens if pods cannot be evicted in time.
//
// +kubebuilder:validation:Enum=GiveUp;Force;Reboot
type OnBlocked string

const (
	// GiveUp uncordons the node and lets the others go. The node waits for its next attempt.
	GiveUp OnBlocked = "GiveUp"
	// Force deletes the pods that are left, past their PodDisruptionBudgets.
	Force OnBlocked = "Force"
	// RebootAnyway reboots the node with the pods that are left on it.
	RebootAnyway OnBlocked = "Reboot"
)

// Drain is how the pods leave a node: by eviction, which respects PodDisruptionBudgets. Pods of DaemonSets and static pods
// stay. Pods without a controller are evicted too, and do not come back.
//
// +kubebuilder:validation:XValidation:rule="!has(self.forceAfter) || self.onBlocked == 'Force'",fieldPath=".forceAfter",message="goes with onBlocked: Force only"
type Drain struct {
	// Timeout is how long pods are evicted before OnBlocked applies.
	//
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="must be a duration, as 5m, and greater than 0: a drain without an end blocks every other reboot"
	Timeout metav1.Duration `json:"timeout,omitempty"`
	// GracePeriodSeconds takes the place of the pods' own terminationGracePeriodSeconds.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
	// PodSelector selects the pods that have to leave, by their labels; without it all have to.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, has(e.values) && size(e.values) > 0 ? e.operator in ['In', 'NotIn'] : e.operator in ['Exists', 'DoesNotExist'])",message="operators are In and NotIn with values, Exists and DoesNotExist without"
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// SkipPodsDeletingLongerThan lets the node go although a pod has not ended that was deleted this long ago. Without it
	// every pod is waited for, until Timeout.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration, as 1h30m"
	SkipPodsDeletingLongerThan *metav1.Duration `json:"skipPodsDeletingLongerThan,omitempty"`
	// OnBlocked is what happens if pods are left after Timeout: GiveUp uncordons the node and lets the others go, Force deletes
	// the pods past their PodDisruptionBudgets and gives up if they have not ended after as long again, Reboot reboots the node
	// with the pods on it.
	//
	// +optional
	// +kubebuilder:default=GiveUp
	OnBlocked OnBlocked `json:"onBlocked,omitempty"`
	// ForceAfter is the time since the request after which Force applies; until then it is GiveUp. It goes with Force only.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration, as 1h30m"
	ForceAfter *metav1.Duration `json:"forceAfter,omitempty"`
}

// Method is how a node is rebooted.
//
// +kubebuilder:validation:Enum=Auto;Agent;TalosAPI
type Method string

const (
	// MethodAuto is the Talos API for a node that runs Talos if the coordinator has a talosconfig, else the agent.
	MethodAuto Method = "Auto"
	// MethodAgent lets the agent on the node reboot it.
	MethodAgent Method = "Agent"
	// MethodTalosAPI calls Reboot of the node's Talos API.
	MethodTalosAPI Method = "TalosAPI"
)

// Reboot is how a node is rebooted.
type Reboot struct {
	// +optional
	// +kubebuilder:default=Auto
	Method Method `json:"method,omitempty"`
	// Delay is the time between the end of the drain and the reboot.
	//
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration, as 1h30m"
	Delay metav1.Duration `json:"delay,omitempty"`
	// Timeout is how long a node may take to come back before that is reported. It keeps its slot all the same: it is down.
	//
	// +optional
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="must be a duration, as 15m, and greater than 0"
	Timeout metav1.Duration `json:"timeout,omitempty"`
}

// Gates are what has to be true of a node.
type Gates struct {
	// Settle is how long a node has to be back, without a break, before the next one may go.
	//
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration, as 1h30m"
	Settle metav1.Duration `json:"settle,omitempty"`
	// NodeConditions are conditions that the node must have, before its reboot begins and again before it counts as back.
	// That it is Ready need not be named.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	NodeConditions []NodeConditionGate `json:"nodeConditions,omitempty"`
}

// NodeConditionGate is a condition of a Node, as Ready and True.
type NodeConditionGate struct {
	// +kubebuilder:validation:MinLength=1
	Type string `json:"type"`
	// +optional
	// +kubebuilder:default="True"
	// +kubebuilder:validation:Enum="True";"False";"Unknown"
	Status string `json:"status,omitempty"`
}

// RebootPolicyList is a list of RebootPolicies.
//
// +kubebuilder:object:root=true
type RebootPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []RebootPolicy `json:"items"`
}

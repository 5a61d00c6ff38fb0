// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "time"

// Facts are everything that the decision rests on.
type Facts struct {
	// Budget is nil if there is none.
	Budget   *Budget
	Policies []Policy
	// Nodes are all nodes, by name.
	Nodes map[string]Node
	// Reboots are the NodeReboots, by the name of the node.
	Reboots map[string]Reboot
	// Pods are those of every node that has a NodeReboot, by the name of the node.
	Pods map[string][]Pod
	// PodBudgets are the PodDisruptionBudgets, by "<namespace>/<name>".
	PodBudgets map[string]PodBudget
	// Evictions are the tries of this process to make a pod leave, by the UID of the pod.
	Evictions map[string]Eviction
	// TalosAPI is whether there is a talosconfig, so that nodes can be rebooted through their Talos API.
	TalosAPI bool
	// Talos is what the Talos API of a node said, by the name of the node.
	Talos map[string]TalosAnswer
}

// Budget is the RebootBudget.
type Budget struct {
	MaxUnavailable int
	Paused         bool
	// Holders are the nodes that hold a slot, by name.
	Holders map[string]Holder
}

// Holder is a node that holds a slot.
type Holder struct {
	// UID is that of the NodeReboot, Attempt the attempt that the slot was taken for.
	UID     string
	Attempt int
	// Policy is the one whose slot it is as well.
	Policy string
	Since  time.Time
	Step   Phase
}

// Policy is a RebootPolicy.
type Policy struct {
	Name                 string
	Precedence, Priority int
	MaxUnavailable       Limit
	Windows              []Window
	Drain                Drain
	Method               Method
	// Delay is the time between the end of the drain and the reboot, Timeout how long the node may take to come back.
	Delay, Timeout time.Duration
	// Settle is how long the node has to be back, Conditions the conditions that it must have, by type.
	Settle     time.Duration
	Conditions map[string]string
	Cooldown   time.Duration
	// Error is why the policy cannot be used; empty if it can.
	Error string
}

// Limit is a number, or a percentage if Percent is not 0.
type Limit struct {
	Count, Percent int
}

// of returns the limit for a number of nodes. It is never less than one, or none of them could ever go.
func (l Limit) of(nodes int) int {
	if l.Percent != 0 {
		return max(1, nodes*l.Percent/100)
	}

	return max(1, l.Count)
}

// Drain is how pods leave a node.
type Drain struct {
	Timeout   time.Duration
	OnBlocked OnBlocked
	// ForceAfter is the time since the request after which Force applies, SkipDeletingAfter how long ago a pod must have been
	// deleted to be waited for no longer; nil if that was not given.
	ForceAfter, SkipDeletingAfter *time.Duration
	// GracePeriodSeconds takes the place of the pods' own; nil if that was not given.
	GracePeriodSeconds *int64
}

// OnBlocked is what happens if pods are left when the time is up. The zero value is GiveUp.
type OnBlocked int

const (
	// GiveUp gives the node back.
	GiveUp OnBlocked = iota
	// Force deletes what is left.
	Force
	// RebootAnyway reboots the node as it is.
	RebootAnyway
)

// Method is how a node is rebooted. The zero value is MethodAuto.
type Method int

const (
	// MethodAuto is the Talos API for a node that runs Talos if there is a talosconfig, else the agent.
	MethodAuto Method = iota
	// MethodAgent is the agent on the node.
	MethodAgent
	// MethodTalosAPI is the Talos API.
	MethodTalosAPI
)

// Node is what the decision needs to know of a Node.
type Node struct {
	// BootID is the boot in which the kubelet has registered, HeartbeatAt when it last posted whether it is Ready.
	BootID      string
	HeartbeatAt time.Time
	Ready       bool
	// Conditions are the statuses of its conditions, by type.
	Conditions map[string]string
	// Unschedulable is whether it is cordoned, by whomever; CordonMark is the mark that is on it if it was us.
	Unschedulable bool
	CordonMark    string
	// RestoredMark names the last attempt after which it was given back.
	RestoredMark string
	// GrantUID and GrantBootID are the grant that is on it; empty if there is none.
	GrantUID, GrantBootID string
	ControlPlane, Talos   bool
	// Leaving is who takes the node away; empty if nobody does. Kept is who has marked it as not to be disrupted.
	Leaving, Kept string
	// Policies are the names of the policies that select it.
	Policies []string
	Agent    Agent
	Recovery Recovery
	// EtcdPods is the number of its static pods of etcd, EtcdPodsReady the number of them that are Ready.
	EtcdPods, EtcdPodsReady int
}

// Agent is what the agent on a node says; zero if there is none.
type Agent struct {
	BootID  string
	Wanted  bool
	Since   time.Time
	Reason  string
	Problem string
}

// Recovery is what rebound on a node says about its DaemonSet pods; zero if it says nothing.
type Recovery struct {
	BootID string
	// Over is whether nothing is waited for any more, Message what is.
	Over    bool
	Message string
}

// Reboot is a NodeReboot.
type Reboot struct {
	UID     string
	Created time.Time
	// Deleting is whether it is being deleted, Finalizer whether ours is on it.
	Deleting, Finalizer bool
	// FromNode is whether it was made of the wish of the node's agent.
	FromNode bool

	Priority    *int
	NotBefore   time.Time
	Suspend     bool
	Force       bool
	RequestedAt time.Time

	Status Status
}

// requestedAt is the request that the object stands for at present.
func (r *Reboot) requestedAt() time.Time {
	if r.RequestedAt.IsZero() {
		return r.Created
	}

	return r.RequestedAt
}

// mark is what is written on a Node for an attempt of this reboot.
func (r *Reboot) mark() string { return Mark(r.UID, r.Status.Attempt) }

// Pod is what the decision needs to know of a pod.
type Pod struct {
	Namespace, Name, UID string
	// DaemonSet is whether a DaemonSet controls it, Mirror whether it mirrors a static pod.
	DaemonSet, Mirror bool
	// Selected is whether the policy's selector selects it.
	Selected bool
	// Finished is whether it has succeeded or failed, Pending whether it has not started yet, Ready whether it is Ready.
	Finished, Pending, Ready bool
	// DeletedAt is when it was deleted; zero if it was not. Finalizers hold it up then.
	DeletedAt  time.Time
	Finalizers []string
	// Budgets are the PodDisruptionBudgets that select it, as "<namespace>/<name>".
	Budgets []string
}

func (p *Pod) id() string { return p.Namespace + "/" + p.Name }

// PodBudget is a PodDisruptionBudget.
type PodBudget struct {
	// Allowed is how many disruptions it allows, Current whether that was computed from its present spec.
	Allowed int
	Current bool
	// Healthy is whether as many of its pods are healthy as it demands, and it demands some.
	Healthy bool
	// AlwaysAllowsUnhealthy is whether pods that are not Ready may always go.
	AlwaysAllowsUnhealthy bool
}

// Eviction is what is known of the tries to make a pod leave. The zero value is that of one that was not tried.
type Eviction struct {
	// Tries is how many there were, LastAt when the last one ended, InFlight whether one is under way.
	Tries    int
	LastAt   time.Time
	InFlight bool
	// Message is what the API server said if the last one failed.
	Message string
}

// TalosAnswer is what the Talos API of a node said to this process. The zero value is that of one that was not asked.
type TalosAnswer struct {
	// CheckedAt is when it was last asked whether it can be used, CheckProblem why it cannot.
	CheckedAt    time.Time
	CheckProblem string
	// EtcdProblem is why etcd cannot do without this control plane, as of CheckedAt; empty if it can.
	EtcdProblem string
	// Attempt is the mark of the attempt in which it was last asked to reboot, AskedAt when, InFlight whether it has not
	// answered yet. Refused is whether it said no, Unsent whether it has not heard of it, and Message the words of either, or of
	// a failure after which nobody knows.
	Attempt  string
	AskedAt  time.Time
	InFlight bool
	Refused  bool
	Unsent   bool
	Message  string
	// AskedBefore is whether the node may have heard of an earlier request in the same attempt, and be about to reboot.
	AskedBefore bool
}

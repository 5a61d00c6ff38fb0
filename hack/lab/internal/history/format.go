// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package history records what a real DaemonSet controller and a real kubelet
// do around a reboot. The reference model of internal/recovery is held against
// these histories, so that what it takes for Kubernetes is Kubernetes.
//
// A history has what was seen of one node and of the DaemonSets of one
// namespace, trimmed to what the model knows. It judges nothing.
package history

// History is one story on one node. Times are milliseconds since it began.
type History struct {
	// Story says in a sentence what was done.
	Story string `json:"story"`
	// Kubernetes is the version of the control plane and of the kubelet.
	Kubernetes string `json:"kubernetes"`
	// Rebound is whether the node had rebound.
	Rebound bool `json:"rebound"`
	// Late has the DaemonSets whose pods the kubelet rejects at first, with the
	// milliseconds from the start of the machine until it does so no more.
	Late map[string]int64 `json:"late,omitempty"`
	// Events are in order of time.
	Events []Event `json:"events"`
}

// Event is one thing that has happened. Exactly one of the pointers and Machine
// is set.
type Event struct {
	At int64 `json:"at"`
	// Version is the resource version of what was seen of an object.
	Version   string     `json:"version,omitempty"`
	Machine   Step       `json:"machine,omitempty"`
	Request   *Request   `json:"request,omitempty"`
	DaemonSet *DaemonSet `json:"daemonSet,omitempty"`
	Node      *Node      `json:"node,omitempty"`
	Pod       *Pod       `json:"pod,omitempty"`
}

// Step is something that the machine did, or that was done to it.
type Step string

// The steps. Before the first one the machine is off.
const (
	// StepUp is when the machine was turned on, or a kubelet that was killed was
	// started again.
	StepUp Step = "up"
	// StepHealthy is when its kubelet passed Talos' health check.
	StepHealthy Step = "kubelet-healthy"
	// StepShutdown is when the machine was asked to shut down, some milliseconds
	// before its kubelet hears of it.
	StepShutdown Step = "shutdown-began"
	// StepDown is when the machine was off.
	StepDown Step = "down"
	// StepKilled is when the kubelet was killed, to be started again in the same
	// boot. Containers go on meanwhile.
	StepKilled Step = "kubelet-killed"
)

// Request is a delete of a pod, as the audit log has it; At is when the API
// server received it.
type Request struct {
	// By is who asked: daemonset-controller, garbage-collector, kubelet, rebound
	// or other.
	By string `json:"by"`
	// Pod is the pod's short name, Code the answer.
	Pod  string `json:"pod"`
	Code int32  `json:"code"`
}

// The changes of an object.
const (
	Added    = "added"
	Modified = "modified"
	Deleted  = "deleted"
)

// DaemonSet is what was seen of one.
type DaemonSet struct {
	Change string `json:"change"`
	// ID stands for the UID.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Generation is that of the spec, Observed the one that the DaemonSet
	// controller has acted on.
	Generation int64 `json:"generation"`
	Observed   int64 `json:"observed"`
}

// Node is what was seen of the Node object.
type Node struct {
	Change string `json:"change"`
	// Boot stands for the boot id: 1 is that of the first boot.
	Boot  int  `json:"boot"`
	Ready bool `json:"ready"`
}

// Pod is what was seen of a pod.
type Pod struct {
	Change string `json:"change"`
	// ID stands for the UID.
	ID string `json:"id"`
	// DaemonSet is the ID of the DaemonSet that controls it, Template the
	// generation of that DaemonSet whose template it has.
	DaemonSet string `json:"daemonSet"`
	Template  int64  `json:"template"`
	Phase     string `json:"phase"`
	Reason    string `json:"reason,omitempty"`
	Ready     bool   `json:"ready,omitempty"`
	// Started is the status' startTime, in whole seconds of the clock rounded to
	// the story's milliseconds; nil if there is none.
	Started *int64 `json:"started,omitempty"`
	// Restarts counts how often its containers were started again, as they are
	// when a machine has lost its power.
	Restarts int32 `json:"restarts,omitempty"`
	// Deleting is whether it has a deletion timestamp.
	Deleting bool `json:"deleting,omitempty"`
}

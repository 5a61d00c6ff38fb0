// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Facts are everything that the decision rests on.
type Facts struct {
	Settings Settings
	// Boot is this boot of the machine.
	Boot Boot
	// Gate is what Talos says about the node.
	Gate Gate
	// Link is what the API server says, seen with the node's identity. Zero while there is no connection.
	Link Link
	// Outcomes are the deletes that ended since the last decision, each reported once.
	Outcomes []Outcome
	// InFlight holds the UIDs of the pods whose delete is under way.
	InFlight map[string]bool
	// Status and DaemonSets are what the last decision published; zero after a boot. They are the only memory.
	Status     specs.RecoveryStatus
	DaemonSets map[string]specs.DaemonSetRecovery
}

// Boot identifies one boot of the machine.
type Boot struct {
	// ID is the kernel's random id of this boot; empty if it could not be read.
	ID string
	// Time is when the kernel started, on the clock that now is on. It moves only if that clock is set.
	Time time.Time
	// Error is why ID or Time is missing.
	Error string
}

// Gate is what Talos' own resources say. The zero value is that of a machine that has just started: nothing exists.
type Gate struct {
	// KubeletRunning and KubeletHealthy are those of the service; both are false while the resource does not exist.
	KubeletRunning, KubeletHealthy bool
	// LifecyclePresent is whether a KubeletLifecycle exists, LifecycleTearingDown whether it is on its way out, which is
	// the first sign of a shutdown.
	LifecyclePresent, LifecycleTearingDown bool
	// KubeletStart tells one start of the kubelet from another. It is no time to compare, as the clock may have been set.
	KubeletStart string
	// Stage is the machine's stage, InService whether it is one in which the node does its work (booting or running), and
	// Booted whether its boot sequence has ended (running).
	Stage             string
	InService, Booted bool
	// NodeName is the name of the Node; empty until it is known.
	NodeName string
	// SkipNodeRegistration is true on a machine that does not join Kubernetes.
	SkipNodeRegistration bool
}

// Link is what is known from the API server. Everything in it belongs to the node of Gate.NodeName.
type Link struct {
	// Error is why the API server cannot be used right now; empty while all is well.
	Error string
	// Node is what the kubelet has posted to the Node object; zero until that was read.
	Node Node
	// SyncedAt is when the pods were first listed; zero while they are not known.
	SyncedAt time.Time
	// Pods are all pods of the node, valid only if SyncedAt is set.
	Pods []Pod
}

// Node is what the decision needs to know of the Node object, all of it written by this node's kubelet. The zero value is that
// of one that was not read.
type Node struct {
	// BootID is the boot that the kubelet has registered in; empty if it never did.
	BootID string
	// ShuttingDown is whether the kubelet says that it is terminating the pods of this node.
	ShuttingDown bool
	// ReportedAt is when the kubelet last reported whether it is Ready, in whole seconds; zero if it never did.
	ReportedAt time.Time
	// HasMachined is whether a machined with rebound has reported on the boot of BootID.
	HasMachined bool
}

// Pod is what the decision needs to know of a pod.
type Pod struct {
	Namespace, Name, UID string
	// NodeName is the node that the pod is bound to.
	NodeName string
	// Owner is the controller of the pod; zero if it has none.
	Owner Owner
	// Failed is whether the phase is Failed, Ready whether the condition of that name is true.
	Failed, Ready bool
	// Reason and Message are those of the status.
	Reason, Message string
	// KubeletDisrupted is whether the pod has the condition DisruptionTarget with the reason TerminationByKubelet.
	KubeletDisrupted bool
	// DisruptedAt is when that condition became true; zero without it. After a boot the kubelet writes it anew, so it says
	// something only about a pod of this boot.
	DisruptedAt time.Time
	// Created is the API server's time of creation, Started the kubelet's status.startTime; Started may be zero.
	Created, Started time.Time
	// Deleting is whether the pod has a deletion timestamp.
	Deleting bool
	// Finalizers hold the pod up once it is being deleted.
	Finalizers []string
	// Mirror is whether the pod mirrors a static pod.
	Mirror bool
	// OptedOut is whether SkipAnnotation is "true".
	OptedOut bool
	// Summary says in a few words how the pod is doing, such as "Pending: ImagePullBackOff".
	Summary string
}

// Owner is the controller reference of a pod.
type Owner struct {
	Group, Version, Kind, Name, UID string
}

// DaemonSetID is the id under which the pod's DaemonSet is published: "<namespace>/<name>". Those of other API groups than
// Kubernetes' own may have the same names, so theirs is "<namespace>/<group>/<name>"; no name contains a slash.
func (p Pod) DaemonSetID() string {
	if p.Owner.Group == GroupApps {
		return p.Namespace + "/" + p.Owner.Name
	}

	return p.Namespace + "/" + p.Owner.Group + "/" + p.Owner.Name
}

// since is when the kubelet first saw the pod, or when it was created if the kubelet never did.
func (p Pod) since() time.Time {
	if p.Started.IsZero() {
		return p.Created
	}

	return p.Started
}

// endedAt is when a pod was shut down at the earliest, given that it was.
func (p Pod) endedAt() time.Time {
	if p.DisruptedAt.After(p.since()) {
		return p.DisruptedAt
	}

	return p.since()
}

// Outcome is how the delete of one pod ended.
type Outcome struct {
	// DaemonSet is the id of the pod's DaemonSet, PodUID the UID of the pod.
	DaemonSet, PodUID string
	// Result says how.
	Result Result
	// Error is the server's words; empty unless Result is ResultRefused or ResultFailed.
	Error string
}

// Result is how a delete ended. The zero value is ResultDeleted.
type Result int

const (
	// ResultDeleted means that the pod was deleted.
	ResultDeleted Result = iota
	// ResultGone means that somebody else had deleted it already, which is just as good.
	ResultGone
	// ResultRefused means that the server will not have it; only a change on the server's side helps.
	ResultRefused
	// ResultFailed means that it may well work the next time.
	ResultFailed
	// ResultAbandoned means that the gate closed before the request was sent, or the connection broke before it was answered;
	// it says nothing about the pod.
	ResultAbandoned
)

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"fmt"
	"slices"
	"strings"
)

// Class is what a pod is to the recovery.
type Class int

const (
	// ClassForeign is a pod that is none of our business: not this node's, or not a DaemonSet's.
	ClassForeign Class = iota
	// ClassAlive is a DaemonSet pod that has not failed.
	ClassAlive
	// ClassDeleting is a pod that would be a leftover or rejected, if it were not being deleted already.
	ClassDeleting
	// ClassOptedOut is a Failed pod whose annotation says to leave it alone.
	ClassOptedOut
	// ClassLeftover is a pod that the shutdown, or the boot before this one, left Failed.
	ClassLeftover
	// ClassRejected is a pod that the kubelet refused to run in this boot.
	ClassRejected
	// ClassUnrelated is a pod that failed in this boot for another reason.
	ClassUnrelated
)

// The reasons that the kubelet's node shutdown manager gives, as of Kubernetes 1.36: it terminates pods with the one
// and rejects them with the other. Shutdown is what releases before 1.22 wrote.
var shutdownReasons = []string{"Terminated", "NodeShutdown", "Shutdown"}

// The reasons for which a running pod fails on its own, or is made to make room. They outrank the condition
// DisruptionTarget, which eviction and preemption set to the same TerminationByKubelet as a shutdown does.
var unrelatedReasons = []string{"Evicted", "Preempting", "DeadlineExceeded"}

// The reasons with which the kubelet rejects a pod at admission: the constants of pkg/kubelet and its lifecycle, sysctl,
// volumemanager and container manager packages in Kubernetes 1.36, and the names of the scheduler plugins that it runs
// once more. Rejections for resources are recognized by outOfPrefix.
var admissionReasons = []string{
	"AppArmor",
	"EmptyPodSharedPoolError",
	"InitContainerRestartPolicyForbidden",
	"InvalidNodeInfo",
	"NodeAffinity",
	"NodeName",
	"NodePorts",
	"NodeUnschedulable",
	"PodFeatureUnsupported",
	"PodLevelResourcesNotSupported",
	"PodOSNotSupported",
	"PodOSSelectorNodeLabelDoesNotMatch",
	"SMTAlignmentError",
	"SupplementalGroupsPolicyNotSupported",
	"SysctlForbidden",
	"TaintToleration",
	"TopologyAffinityError",
	"UnexpectedAdmissionError",
	"UnexpectedPredicateFailureType",
	"UnknownReason",
	"VolumeAttachmentLimitExceeded",
}

const (
	// outOfPrefix begins the reason of a rejection for want of a resource, such as OutOfcpu.
	outOfPrefix = "OutOf"
	// rejectedPrefix begins the message of every rejection, also of those whose reason is newer than the list above.
	rejectedPrefix = "Pod was rejected: "
)

// classify tells what a pod is to the recovery, and why.
func (p *planner) classify(pod Pod) (Class, string) {
	switch {
	case pod.NodeName != p.facts.Gate.NodeName:
		return ClassForeign, fmt.Sprintf("bound to another node (%s)", pod.NodeName)
	case !p.facts.Settings.LooksAfter(pod.Owner):
		return ClassForeign, "not controlled by a DaemonSet"
	case pod.Mirror:
		return ClassForeign, "mirrors a static pod"
	case !pod.Failed:
		return ClassAlive, "has not failed"
	case pod.OptedOut:
		return ClassOptedOut, "opted out by annotation " + SkipAnnotation
	}

	class, reason := p.classifyFailure(pod)
	if pod.Deleting && class != ClassUnrelated {
		return ClassDeleting, reason + "; is being deleted already"
	}

	return class, reason
}

// classifyFailure tells why a pod failed. It looks neither at container states nor at condition times: the kubelet
// rewrites both after the boot.
func (p *planner) classifyFailure(pod Pod) (Class, string) {
	switch {
	case slices.Contains(shutdownReasons, pod.Reason):
		return ClassLeftover, fmt.Sprintf("left behind by a shutdown (%s)", pod.Reason)
	case !p.isFromThisBoot(pod):
		return ClassLeftover, "started before this boot" + inParentheses(pod.Reason)
	case slices.Contains(unrelatedReasons, pod.Reason):
		return ClassUnrelated, fmt.Sprintf("failed in this boot for another reason (%s)", pod.Reason)
	case pod.KubeletDisrupted:
		return ClassLeftover, "left behind by a shutdown (TerminationByKubelet)"
	case slices.Contains(admissionReasons, pod.Reason),
		strings.HasPrefix(pod.Reason, outOfPrefix),
		strings.HasPrefix(pod.Message, rejectedPrefix):
		return ClassRejected, fmt.Sprintf("rejected by the kubelet in this boot (%s)", pod.Reason)
	default:
		return ClassUnrelated, "failed in this boot for another reason" + inParentheses(pod.Reason)
	}
}

func inParentheses(reason string) string {
	if reason == "" {
		return ""
	}

	return " (" + reason + ")"
}

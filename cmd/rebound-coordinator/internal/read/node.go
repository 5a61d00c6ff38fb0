// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// taintAutoscaler is on a node that the cluster autoscaler removes (kubernetes/autoscaler, cluster-autoscaler/utils/taints).
	taintAutoscaler = "ToBeDeletedByClusterAutoscaler"
	// taintKarpenter is on a node that Karpenter removes (kubernetes-sigs/karpenter, pkg/apis/v1/taints.go).
	taintKarpenter = "karpenter.sh/disrupted"
	// osTalos is how the name of Talos begins as its kubelet reports it (siderolabs/talos, /etc/os-release: Talos (v1.13.9)).
	osTalos = "Talos"

	// maxBootID bounds a boot id in bytes, as that in the report of an agent. A kernel's has 36.
	maxBootID = 64

	// labelComponent and componentEtcd are on the static pods that kubeadm makes for etcd.
	labelComponent = "component"
	componentEtcd  = "etcd"
)

// controlPlaneLabels are those of which one is on every node with an API server or a member of etcd. The last two are those
// of K3s and RKE2.
var controlPlaneLabels = []string{
	"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd",
}

// keptAnnotations are those that, with the value true, keep somebody else from disrupting a node, and us as well
// (kubernetes-sigs/karpenter, pkg/apis/v1/labels.go; kubernetes/autoscaler, cluster-autoscaler/core/scaledown/eligibility).
var keptAnnotations = []string{"karpenter.sh/do-not-disrupt", "cluster-autoscaler.kubernetes.io/scale-down-disabled"}

// NodeFacts returns what a Node says, without which policies select it and without its pods.
func NodeFacts(object *corev1.Node) reboot.Node {
	node := reboot.Node{
		BootID:        specs.Printable(object.Status.NodeInfo.BootID, maxBootID),
		Conditions:    make(map[string]string, len(object.Status.Conditions)),
		Unschedulable: object.Spec.Unschedulable,
		CordonMark:    object.Annotations[v1alpha1.CordonAnnotation],
		RestoredMark:  object.Annotations[v1alpha1.RestoredAnnotation],
		Talos:         strings.HasPrefix(object.Status.NodeInfo.OSImage, osTalos),
		Leaving:       leaving(object),
		Recovery:      recoveryFacts(object.Annotations[specs.NodeAnnotation]),
		Agent:         agentFacts(object.Annotations[v1alpha1.AgentAnnotation]),
	}

	for _, annotation := range keptAnnotations {
		if object.Annotations[annotation] == "true" {
			node.Kept = annotation
		}
	}

	for _, condition := range object.Status.Conditions {
		node.Conditions[string(condition.Type)] = string(condition.Status)

		if condition.Type == corev1.NodeReady {
			node.Ready = condition.Status == corev1.ConditionTrue
			node.HeartbeatAt = condition.LastHeartbeatTime.Time
		}
	}

	for _, label := range controlPlaneLabels {
		_, ok := object.Labels[label]
		node.ControlPlane = node.ControlPlane || ok
	}

	// Of one that cannot be parsed it must be known that it is there.
	if text := object.Annotations[v1alpha1.GrantAnnotation]; text != "" {
		grant, _ := v1alpha1.ParseGrant(text)
		node.GrantUID, node.GrantBootID = cmp.Or(string(grant.UID), "unknown"), grant.BootID
	}

	return node
}

// TrimNode takes of a node what nobody here looks at and is large: the images that it has, its volumes, and who has set which
// field. It changes the object, which belongs to the cache that fills.
func TrimNode(object any) (any, error) {
	if node, ok := object.(*corev1.Node); ok {
		node.ManagedFields = nil
		node.Status.Images, node.Status.VolumesInUse, node.Status.VolumesAttached = nil, nil, nil
	}

	return object, nil
}

func leaving(object *corev1.Node) string {
	if !object.DeletionTimestamp.IsZero() {
		return "the Node is being deleted"
	}

	for _, taint := range object.Spec.Taints {
		if taint.Key == taintAutoscaler || taint.Key == taintKarpenter {
			return "it has the taint " + taint.Key
		}
	}

	return ""
}

// agentFacts takes what cannot be parsed for the word of no agent.
func agentFacts(text string) reboot.Agent {
	report, err := v1alpha1.ParseAgentReport(text)
	if err != nil {
		return reboot.Agent{}
	}

	return reboot.Agent{
		BootID: report.BootID, Wanted: report.Wanted, Since: report.WantedSince, Reason: report.Reason, Problem: report.Problem,
	}
}

func recoveryFacts(text string) reboot.Recovery {
	report, err := specs.ParseNodeReport(text)
	if err != nil {
		return reboot.Recovery{}
	}

	return reboot.Recovery{
		BootID:  report.BootID,
		Over:    report.Phase == specs.PhaseRecovered || report.Phase == specs.PhaseDisabled,
		Message: report.Message,
	}
}

// countEtcd counts the static pods of etcd on the node.
func countEtcd(node *reboot.Node, pods []corev1.Pod) {
	for i := range pods {
		if pods[i].Labels[labelComponent] != componentEtcd || !isMirror(&pods[i]) {
			continue
		}

		node.EtcdPods++

		if isReady(&pods[i]) {
			node.EtcdPodsReady++
		}
	}
}

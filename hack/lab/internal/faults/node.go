// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Node is a node of a row. Its methods end the row as those of [Stage] do.
type Node struct {
	*lab.Node

	stage *Stage
}

// Await waits until the node's recovery, in the present boot, is as wanted.
func (n *Node) Await(wanted func(specs.RecoveryStatus) bool) specs.RecoveryStatus {
	return must1(n.AwaitRecovery(n.stage.ctx, wanted))
}

// AwaitPhase waits for a phase of the node's recovery.
func (n *Node) AwaitPhase(phase specs.Phase) specs.RecoveryStatus {
	return n.Await(func(status specs.RecoveryStatus) bool { return status.Phase == phase })
}

// AwaitFault waits until the node's recovery says what the row expects while the
// fault is on.
func (n *Node) AwaitFault() specs.RecoveryStatus {
	return n.Await(func(status specs.RecoveryStatus) bool {
		return n.stage.Saw(phaseName(status.Phase), status.Message)
	})
}

// AwaitRecord waits until the recovery of the DaemonSet on the node is as wanted.
func (n *Node) AwaitRecord(daemonSet string, wanted func(specs.DaemonSetRecovery) bool) specs.DaemonSetRecovery {
	return must1(n.AwaitDaemonSet(n.stage.ctx, n.stage.Name+"/"+daemonSet, wanted))
}

// Records returns what the node says about the row's DaemonSets, by name.
func (n *Node) Records() map[string]specs.DaemonSetRecovery {
	found := map[string]specs.DaemonSetRecovery{}

	for id, record := range must1(n.DaemonSets(n.stage.ctx)) {
		found[strings.TrimPrefix(id, n.stage.Name+"/")] = record
	}

	return found
}

// Pod returns the one pod that the DaemonSet has on the node.
func (n *Node) Pod(daemonSet *appsv1.DaemonSet) *corev1.Pod {
	var found []corev1.Pod

	for _, pod := range n.stage.Pods() {
		if pod.Spec.NodeName == n.Name() && metav1.IsControlledBy(&pod, daemonSet) {
			found = append(found, pod)
		}
	}

	n.stage.Check(len(found) == 1, "DaemonSet %q has %d pods on node %q, not one", daemonSet.Name, len(found), n.Name())

	return &found[0]
}

// Requests returns what rebound on the node has asked of the API server, as far
// as it was answered.
func (n *Node) Requests() []lab.AuditRecord {
	return n.stage.Audit(func(record lab.AuditRecord) bool { return record.IsOfRebound(n.Name()) })
}

// Deletes returns the pods that rebound on the node has deleted: the API server
// may say so of one pod twice, when it is asked twice before the pod is gone.
func (n *Node) Deletes() []lab.AuditRecord {
	return n.stage.Audit(func(record lab.AuditRecord) bool { return record.IsOfRebound(n.Name()) && record.DeletesPod() })
}

// hasTriedToDelete says whether rebound on the node has deleted the pod, or may
// have: of a request whose client is gone before the answer, the API server says
// that it has timed out, and carries it out.
func (n *Node) hasTriedToDelete(pod string) bool {
	return len(n.stage.Audit(func(record lab.AuditRecord) bool {
		return record.IsOfRebound(n.Name()) && record.Verb == "delete" && record.Name == pod
	})) > 0
}

// End waits until the node has recovered, and returns how in the words of a row:
// its message, how many pods of the row rebound has deleted, and that the pods
// of all DaemonSets are Ready, which is checked.
func (n *Node) End() string {
	status := n.AwaitPhase(specs.PhaseRecovered)
	must1(n.WaitDaemonSetPodsReady(n.stage.ctx))

	return n.Tell(status) + ", and all pods are Ready"
}

// Tell words how a recovery stands, and how many pods rebound has deleted, by the
// audit log.
func (n *Node) Tell(status specs.RecoveryStatus) string {
	deleted := map[string]struct{}{}

	for _, record := range n.Deletes() {
		deleted[record.Name] = struct{}{}
	}

	return fmt.Sprintf("%s (%s), pods deleted: %d", phaseName(status.Phase), n.stage.Plain(status.Message), len(deleted))
}

// phaseName is how the report writes a phase.
func phaseName(phase specs.Phase) string { return strings.ToLower(phase.String()) }

// contains is true for an empty part.
func contains(text, part string) bool { return strings.Contains(text, part) }

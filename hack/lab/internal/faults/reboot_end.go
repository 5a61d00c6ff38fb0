// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// done waits until all nodes were rebooted and no slot is held, and tells.
func (q *queue) done() (string, error) {
	q.awaitRebooted(q.nodes...)

	return q.ended()
}

// ended waits until no slot is held, and tells.
func (q *queue) ended() (string, error) {
	must(q.Lab.AwaitSlots(q.ctx))

	return q.tell(), nil
}

// tell words how all nodes stand.
func (q *queue) tell() string {
	told := make([]string, len(q.nodes))
	for i, node := range q.nodes {
		told[i] = q.tellNode(node)
	}

	return strings.Join(told, "; ")
}

func (q *queue) tellNode(node *Node) string {
	name := strings.TrimPrefix(node.Name(), q.Name+"-")

	object, err := q.Lab.Client().CoreV1().Nodes().Get(q.ctx, node.Name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return name + ": no such node"
	}

	must(err)

	return fmt.Sprintf("%s: %s, reboots: %d, %s", name, q.tellReboot(node), reboots(node), cordonOf(object))
}

func (q *queue) tellReboot(node *Node) string {
	found := &v1alpha1.NodeReboot{}

	err := q.Lab.Reboots().Get().Resource(v1alpha1.ResourceNodeReboots).Name(node.Name()).Do(q.ctx).Into(found)
	if apierrors.IsNotFound(err) {
		return "no NodeReboot"
	}

	must(err)

	if found.Status.Phase == v1alpha1.PhaseDone {
		return string(found.Status.Phase)
	}

	return fmt.Sprintf("%s (%s)", found.Status.Phase, found.Status.Reason)
}

// reboots counts the boots that the machine has begun after its first, those left
// out that were none.
func reboots(node *Node) int {
	ids := map[string]bool{}
	for _, boot := range node.Boots() {
		ids[boot.ID] = true
	}

	return len(ids) - 1
}

func cordonOf(node *corev1.Node) string {
	switch marked := node.Annotations[v1alpha1.CordonAnnotation] != ""; {
	case marked:
		return "cordoned by the coordinator"
	case node.Spec.Unschedulable:
		return "cordoned by somebody else"
	default:
		return "schedulable"
	}
}

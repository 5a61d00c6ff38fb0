// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// shuttingDown is what a kubelet that terminates its pods says in the message of the Node's Ready condition, among other
// things (Kubernetes 1.36, pkg/kubelet/nodeshutdown/nodeshutdown_manager_linux.go, ShutdownStatus).
const shuttingDown = "node is shutting down"

// Node returns what the kubelet last posted to the Node object.
func (c *Client) Node(ctx context.Context, name string) (recovery.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	object, err := c.core.Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return recovery.Node{}, fmt.Errorf("failed to read node %q: %w", name, err)
	}

	return NodeFacts(object), nil
}

// NodeFacts reduces a Node to what the decision rests on.
func NodeFacts(object *corev1.Node) recovery.Node {
	node := recovery.Node{BootID: object.Status.NodeInfo.BootID}
	node.HasMachined = isOfMachined(object, node.BootID)

	if ready := nodeCondition(object, corev1.NodeReady); ready != nil {
		node.ReportedAt = ready.LastHeartbeatTime.Time
		node.ShuttingDown = ready.Status == corev1.ConditionFalse && strings.Contains(ready.Message, shuttingDown)
	}

	return node
}

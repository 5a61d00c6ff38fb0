// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// ControllerManager is the name of the static pod, of its container and of the Lease.
	ControllerManager = "kube-controller-manager"
	// controlPlaneLabel is on the nodes of the control plane.
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
)

// Replica is a kube-controller-manager on a node of the control plane.
type Replica struct {
	// Node and Address are the name of the node and its internal address, which is empty if it has none.
	Node, Address string
	// Hostname is what the node calls itself; empty if it does not say.
	Hostname string
	// NodeReady is whether the node is Ready, ShuttingDown whether its kubelet says that it is shutting down.
	NodeReady, ShuttingDown bool
	// Running is whether the pod of kube-controller-manager is Ready.
	Running bool
}

// Leader is who holds the Lease of kube-controller-manager.
type Leader struct {
	// Identity is who holds it: a host name, an underscore and what tells one process from another. Empty if nobody does.
	Identity string
	// Until is when the Lease ends unless it is renewed.
	Until time.Time
}

// Leader reads who leads. It is zero if there is no Lease.
func (c *Client) Leader(ctx context.Context) (Leader, error) {
	lease, err := request(ctx, "failed to read the Lease of "+ControllerManager, func(ctx context.Context) (*coordinationv1.Lease, error) {
		return c.leases.Leases(metav1.NamespaceSystem).Get(ctx, ControllerManager, metav1.GetOptions{})
	})

	switch {
	case apierrors.IsNotFound(err):
		return Leader{}, nil
	case err != nil:
		return Leader{}, err
	}

	var leader Leader

	if spec := lease.Spec; spec.HolderIdentity != nil && spec.RenewTime != nil && spec.LeaseDurationSeconds != nil {
		leader.Identity = specs.Printable(*spec.HolderIdentity, maxIdentity)
		leader.Until = spec.RenewTime.Add(time.Duration(*spec.LeaseDurationSeconds) * time.Second)
	}

	return leader, nil
}

// maxIdentity bounds the text of who leads, in bytes.
const maxIdentity = 256

// Replicas are those of all nodes of the control plane.
func (c *Client) Replicas(ctx context.Context) ([]Replica, error) {
	nodes, err := request(ctx, "failed to list the nodes of the control plane", func(ctx context.Context) (*corev1.NodeList, error) {
		return c.core.Nodes().List(ctx, metav1.ListOptions{LabelSelector: controlPlaneLabel})
	})
	if err != nil {
		return nil, err
	}

	replicas := make([]Replica, 0, len(nodes.Items))

	for i := range nodes.Items {
		node := &nodes.Items[i]
		name := ControllerManager + "-" + node.Name

		pod, err := request(ctx, fmt.Sprintf("failed to read pod %q", name), func(ctx context.Context) (*corev1.Pod, error) {
			return c.core.Pods(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}

		replicas = append(replicas, replicaOf(node, pod, err == nil))
	}

	return replicas, nil
}

func replicaOf(node *corev1.Node, pod *corev1.Pod, exists bool) Replica {
	replica := Replica{Node: node.Name, ShuttingDown: kube.NodeFacts(node).ShuttingDown}

	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			replica.NodeReady = condition.Status == corev1.ConditionTrue
		}
	}

	for _, address := range node.Status.Addresses {
		switch {
		case address.Type == corev1.NodeInternalIP && replica.Address == "":
			replica.Address = address.Address
		case address.Type == corev1.NodeHostName && replica.Hostname == "":
			replica.Hostname = address.Address
		}
	}

	if exists {
		facts := kube.PodFacts(pod)
		replica.Running = facts.Ready && !facts.Failed && !facts.Deleting && facts.NodeName == node.Name
	}

	return replica
}

// hosts tells whether a leader is this node's. Its identity begins with the host name, which is the node's name, or the first
// part of it.
func (replica Replica) hosts(leader Leader) bool {
	end := strings.LastIndex(leader.Identity, "_")
	short, _, _ := strings.Cut(replica.Node, ".")

	return end > 0 && slices.Contains([]string{replica.Node, replica.Hostname, short}, leader.Identity[:end])
}

// PlanRestart says which kube-controller-manager to restart, or why that of this node may not be.
//
// Only the one that leads has back-offs to forget. It is restarted only if another one is there to lead while it is away, and
// only on a node that stays.
func PlanRestart(node string, replicas []Replica, leader Leader, now time.Time) (Replica, error) {
	i := slices.IndexFunc(replicas, func(replica Replica) bool { return replica.Node == node })
	if i < 0 {
		return Replica{}, fmt.Errorf("there is no Node %q with the label %s", node, controlPlaneLabel)
	}

	target := replicas[i]

	switch {
	case target.ShuttingDown:
		return Replica{}, fmt.Errorf("node %q is shutting down, and its %s ends with it", node, ControllerManager)
	case !target.NodeReady:
		return Replica{}, fmt.Errorf("node %q is not Ready: it may be rebooting", node)
	case !target.Running:
		return Replica{}, fmt.Errorf("%s of node %q is not Ready: it may be starting already", ControllerManager, node)
	}

	if err := checkLeader(node, replicas, leader, now); err != nil {
		return Replica{}, err
	}

	if !slices.ContainsFunc(replicas, func(replica Replica) bool { return replica.Node != node && replica.canLead() }) {
		return Replica{}, fmt.Errorf("no other node of the control plane is Ready with a %s that could lead", ControllerManager)
	}

	return target, nil
}

// canLead tells whether a replica is there to lead when another one goes.
func (replica Replica) canLead() bool {
	return replica.NodeReady && !replica.ShuttingDown && replica.Running
}

// checkLeader is an error unless the replica on the node leads.
func checkLeader(node string, replicas []Replica, leader Leader, now time.Time) error {
	var leads []string

	for _, replica := range replicas {
		if replica.hosts(leader) {
			leads = append(leads, replica.Node)
		}
	}

	switch {
	case leader.Identity == "":
		return fmt.Errorf("nobody holds a Lease %s/%s, and without one nobody takes over", metav1.NamespaceSystem, ControllerManager)
	case !now.Before(leader.Until):
		return fmt.Errorf("nobody leads: %s has not renewed the Lease in time", leader.Identity)
	case len(leads) != 1:
		return fmt.Errorf("%s leads, which is not known as one node of the control plane", leader.Identity)
	case leads[0] != node:
		return fmt.Errorf("%s of node %q does not lead and has no back-offs to forget; that of node %q does", ControllerManager, node, leads[0])
	default:
		return nil
	}
}

// AwaitLeader waits until somebody else leads than before, also another process on the same node, and returns who. It returns a
// zero Leader if that has not happened before ctx ended.
func (c *Client) AwaitLeader(ctx context.Context, before Leader) (Leader, error) {
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()

	for {
		leader, err := c.Leader(ctx)

		switch {
		case ctx.Err() != nil:
			return Leader{}, nil
		case err == nil && leader.Identity != "" && leader.Identity != before.Identity:
			return leader, nil
		case err != nil && kube.IsRefused(err):
			return Leader{}, err
		}

		select {
		case <-ctx.Done():
			return Leader{}, nil
		case <-ticker.C:
		}
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

// pageSize is how many objects are asked for at a time.
const pageSize = 500

// Scope says which pods are meant. The zero value means all.
type Scope struct {
	// DaemonSet is the id of a DaemonSet as recovery.Pod has it, "<namespace>/<name>"; empty means any.
	DaemonSet string
	// Node is the name of a node; empty means any.
	Node string
}

// FailedPods are the Failed pods of DaemonSets, of those groups that rebound looks after.
func (c *Client) FailedPods(ctx context.Context, scope Scope) ([]recovery.Pod, error) {
	selector := fields.OneTermEqualSelector("status.phase", string(corev1.PodFailed))
	if scope.Node != "" {
		selector = fields.AndSelectors(selector, fields.OneTermEqualSelector("spec.nodeName", scope.Node))
	}

	namespace, _, _ := strings.Cut(scope.DaemonSet, "/")
	settings := recovery.DefaultSettings()

	var found []recovery.Pod

	options := metav1.ListOptions{FieldSelector: selector.String(), Limit: pageSize}

	for {
		list, err := request(ctx, "failed to list the Failed pods", func(ctx context.Context) (*corev1.PodList, error) {
			return c.core.Pods(namespace).List(ctx, options)
		})
		if err != nil {
			return nil, err
		}

		for i := range list.Items {
			pod := kube.PodFacts(&list.Items[i])

			if pod.Failed && !pod.Mirror && settings.LooksAfter(pod.Owner) && (scope.DaemonSet == "" || pod.DaemonSetID() == scope.DaemonSet) {
				found = append(found, pod)
			}
		}

		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// Node is what decides whether pods of a node may be deleted.
type Node struct {
	recovery.Node
	// Exists is whether there is a Node of that name.
	Exists bool
	// Posting is whether the kubelet posts the state of the Node: it has not been missed for so long that others say so.
	Posting bool
}

const (
	// leaseNamespace has a Lease of every node, which its kubelet renews every ten seconds.
	leaseNamespace = corev1.NamespaceNodeLease
	// leaseLag is how much older than the renewal of its Lease the state may be that a kubelet has posted. It looks every ten
	// seconds whether that has changed (nodeStatusUpdateFrequency), and at once when a shutdown begins.
	leaseLag = 20 * time.Second
)

// Node reads what is known of a node. A Lease that cannot be read only means that a pod may be held longer: what the kubelet
// posts if nothing changes, it posts every five minutes.
func (c *Client) Node(ctx context.Context, name string) (Node, error) {
	// The Lease comes first: what the Node says then is not older.
	renewed := c.renewed(ctx, name)

	object, err := request(ctx, fmt.Sprintf("failed to read Node %q", name), func(ctx context.Context) (*corev1.Node, error) {
		return c.core.Nodes().Get(ctx, name, metav1.GetOptions{})
	})

	switch {
	case apierrors.IsNotFound(err):
		return Node{}, nil
	case err != nil:
		return Node{}, err
	}

	node := Node{Node: kube.NodeFacts(object), Exists: true, Posting: isPosting(object)}

	if reported := renewed.Add(-leaseLag); !renewed.IsZero() && reported.After(node.ReportedAt) {
		node.ReportedAt = reported
	}

	return node, nil
}

// renewed is when the kubelet last renewed the Lease of its node; zero if that is not known.
func (c *Client) renewed(ctx context.Context, name string) time.Time {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	lease, err := c.leases.Leases(leaseNamespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || lease.Spec.RenewTime == nil {
		return time.Time{}
	}

	return lease.Spec.RenewTime.Time
}

// isPosting is false if the Node is not known to be Ready or not Ready, which is what the node controller makes of a Node
// whose kubelet it misses.
func isPosting(object *corev1.Node) bool {
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue || condition.Status == corev1.ConditionFalse
		}
	}

	return false
}

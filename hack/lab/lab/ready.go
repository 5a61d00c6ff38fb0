// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	nodeutil "k8s.io/component-helpers/node/util"
)

// waitFor watches objects of one resource until the condition holds. It is
// asked about every object there is, and then about every change. The object
// given has no other use than to have a type.
func waitFor[T runtime.Object](ctx context.Context, lab *Lab, resource, namespace string, selector fields.Selector, object T, condition func(object T, deleted bool) bool) error {
	return waitWith(ctx, lab.client.CoreV1().RESTClient(), resource, namespace, selector, object, condition)
}

// waitWith does so with the client of any group.
func waitWith[T runtime.Object](ctx context.Context, client cache.Getter, resource, namespace string, selector fields.Selector, object T, condition func(object T, deleted bool) bool) error {
	source := cache.NewListWatchFromClient(client, resource, namespace, selector)

	_, err := watchtools.UntilWithSync(ctx, source, object, nil, func(event watch.Event) (bool, error) {
		object, ok := event.Object.(T)

		return ok && condition(object, event.Type == watch.Deleted), nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}

	return err
}

// AwaitObject waits until the Node object is as wanted, and returns it. The
// error has what was seen last.
func (node *Node) AwaitObject(ctx context.Context, wanted func(*corev1.Node) bool) (*corev1.Node, error) {
	var last *corev1.Node

	err := waitFor(ctx, node.lab, "nodes", "", fields.OneTermEqualSelector("metadata.name", node.name), &corev1.Node{},
		func(object *corev1.Node, deleted bool) bool {
			last = object

			return !deleted && wanted(object)
		})
	if err != nil {
		return nil, fmt.Errorf("failed to wait for node %q: %w; last seen: %+v", node.name, err, last)
	}

	return last, nil
}

// WaitReady waits until the pods of all DaemonSets are Ready on every node.
func (lab *Lab) WaitReady(ctx context.Context) error {
	for _, node := range lab.Nodes() {
		if _, err := node.WaitDaemonSetPodsReady(ctx); err != nil {
			return err
		}
	}

	return nil
}

// WaitDaemonSetPodsReady waits until every DaemonSet whose node selector fits
// the node has a Ready pod on it that was started in this boot, and returns the
// time at which the last of them was seen to be Ready.
func (node *Node) WaitDaemonSetPodsReady(ctx context.Context) (time.Time, error) {
	daemonSets, err := node.daemonSets(ctx)
	if err != nil {
		return time.Time{}, err
	}

	last := time.Now()

	if len(daemonSets) == 0 {
		return last, nil
	}

	ctx, cancel := node.whileRunning(ctx)
	defer cancel()

	// The DaemonSets of the pods that are Ready.
	ready := map[types.UID]types.UID{}

	missing := func() []string {
		names := maps.Clone(daemonSets)

		for _, daemonSet := range ready {
			delete(names, daemonSet)
		}

		return slices.Sorted(maps.Values(names))
	}

	err = waitFor(ctx, node.lab, "pods", metav1.NamespaceAll, fields.OneTermEqualSelector("spec.nodeName", node.name), &corev1.Pod{},
		func(pod *corev1.Pod, deleted bool) bool {
			last = time.Now()

			if owner := metav1.GetControllerOf(pod); owner != nil && !deleted && node.isReady(pod) {
				ready[pod.UID] = owner.UID
			} else {
				delete(ready, pod.UID)
			}

			return len(missing()) == 0
		})
	if err != nil {
		return time.Time{}, fmt.Errorf("failed to wait for pods of DaemonSets on node %q (missing: %s): %w", node.name, strings.Join(missing(), ", "), err)
	}

	return last, nil
}

// daemonSets returns the names of the DaemonSets whose node selector fits the
// node.
func (node *Node) daemonSets(ctx context.Context) (map[types.UID]string, error) {
	object, err := node.lab.client.CoreV1().Nodes().Get(ctx, node.name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to get node %q: %w", node.name, err)
	}

	list, err := node.lab.client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to list DaemonSets: %w", err)
	}

	names := map[types.UID]string{}

	for _, daemonSet := range list.Items {
		if labels.SelectorFromSet(daemonSet.Spec.Template.Spec.NodeSelector).Matches(labels.Set(object.Labels)) {
			names[daemonSet.UID] = daemonSet.Name
		}
	}

	return names, nil
}

// isReady is true for a Ready pod whose containers were all started in this
// boot. After a power failure the API server has the last boot's Ready pods
// until the kubelet has come around to them.
func (node *Node) isReady(pod *corev1.Pod) bool {
	booted := node.lastBoot().Up.Truncate(time.Second) // the API has whole seconds

	stale := slices.ContainsFunc(pod.Status.ContainerStatuses, func(status corev1.ContainerStatus) bool {
		return status.State.Running == nil || status.State.Running.StartedAt.Time.Before(booted)
	})

	return IsPodReady(pod) && !stale && pod.DeletionTimestamp == nil
}

// IsPodReady says whether the pod's condition of that name is true.
func IsPodReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// IsNodeReady says whether the node's condition of that name is true.
func IsNodeReady(node *corev1.Node) bool {
	_, ready := nodeutil.GetNodeCondition(&node.Status, corev1.NodeReady)

	return ready != nil && ready.Status == corev1.ConditionTrue
}

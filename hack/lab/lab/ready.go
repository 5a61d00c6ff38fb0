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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// waitFor watches objects of one resource until the condition holds. The
// condition is asked about every object there is, and then about every change.
func waitFor(ctx context.Context, client rest.Interface, resource, namespace string, selector fields.Selector, object runtime.Object, condition watchtools.ConditionFunc) error {
	source := cache.NewListWatchFromClient(client, resource, namespace, selector)

	if _, err := watchtools.UntilWithSync(ctx, source, object, nil, condition); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		return err
	}

	return nil
}

// WaitDaemonSetPodsReady waits until every DaemonSet whose node selector fits
// the node has a Ready pod on it that was started in this boot, and returns the
// time at which the last of them was seen to be Ready.
func (node *Node) WaitDaemonSetPodsReady(ctx context.Context) (time.Time, error) {
	waiting, err := node.expectations(ctx)
	if err != nil {
		return time.Time{}, err
	}

	ctx, cancel := node.whileRunning(ctx)
	defer cancel()

	var last time.Time

	if len(waiting.names) == 0 {
		return time.Now(), nil
	}

	err = waitFor(ctx, node.lab.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll,
		fields.OneTermEqualSelector("spec.nodeName", node.name), &corev1.Pod{},
		func(event watch.Event) (bool, error) {
			last = time.Now()

			return waiting.settledBy(event), nil
		})
	if err != nil {
		return time.Time{}, fmt.Errorf("failed to wait for pods of DaemonSets on node %q (%s): %w", node.name, waiting, err)
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

// expectations are the pods that a node should have, by their DaemonSet.
type expectations struct {
	// names are the DaemonSets', and ready leads from a pod to its DaemonSet.
	names  map[types.UID]string
	ready  map[types.UID]types.UID
	booted time.Time
}

func (node *Node) expectations(ctx context.Context) (*expectations, error) {
	object, err := node.lab.client.CoreV1().Nodes().Get(ctx, node.name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to get node %q: %w", node.name, err)
	}

	daemonSets, err := node.lab.client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to list DaemonSets: %w", err)
	}

	waiting := &expectations{
		names:  map[types.UID]string{},
		ready:  map[types.UID]types.UID{},
		booted: node.booted.Truncate(time.Second), // the API has whole seconds
	}

	for _, daemonSet := range daemonSets.Items {
		if labels.SelectorFromSet(daemonSet.Spec.Template.Spec.NodeSelector).Matches(labels.Set(object.Labels)) {
			waiting.names[daemonSet.UID] = daemonSet.Name
		}
	}

	return waiting, nil
}

// settledBy takes in an event and says whether nothing is missing any more.
func (waiting *expectations) settledBy(event watch.Event) bool {
	pod, ok := event.Object.(*corev1.Pod)
	if !ok {
		return false
	}

	if owner := metav1.GetControllerOf(pod); owner != nil && event.Type != watch.Deleted && isReadySince(pod, waiting.booted) {
		waiting.ready[pod.UID] = owner.UID
	} else {
		delete(waiting.ready, pod.UID)
	}

	return len(waiting.missing()) == 0
}

func (waiting *expectations) missing() []string {
	missing := maps.Clone(waiting.names)

	for _, daemonSet := range waiting.ready {
		delete(missing, daemonSet)
	}

	return slices.Sorted(maps.Values(missing))
}

// String names what is missing.
func (waiting *expectations) String() string {
	return "missing: " + strings.Join(waiting.missing(), ", ")
}

// isReadySince is true for a Ready pod whose containers were all started since
// then. After a power failure the API server has the last boot's Ready pods
// until the kubelet has come around to them.
func isReadySince(pod *corev1.Pod, booted time.Time) bool {
	stale := slices.ContainsFunc(pod.Status.ContainerStatuses, func(status corev1.ContainerStatus) bool {
		return status.State.Running == nil || status.State.Running.StartedAt.Time.Before(booted)
	})

	return podutil.IsPodReady(pod) && !stale && pod.DeletionTimestamp == nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/talos-rebound/rebound/hack/lab/component"
)

const (
	// plainAgent is the client of the floor.
	plainAgent = "plain"
	sweepAgent = "sweep"

	// ownLimit bounds a wave with rebound, or of the floor. peerLimit bounds one of a
	// peer: what takes longer is not within it.
	ownLimit  = 15 * time.Minute
	peerLimit = 4 * time.Minute

	// sweepInterval is how often a descheduler looks. Reboots do not wait for it, so
	// that it has half of that to go when one ends.
	sweepInterval = 2 * time.Minute

	// atOnce is how many deletes the plain client sends at a time: as many as rebound.
	atOnce = 4
)

// help is what is done for nodes that come back.
type help struct {
	name string
	// limit is how long a node may take.
	limit time.Duration
	// boot, if set, prepares a node that boots. What it returns is called when the
	// kubelet is healthy.
	boot func(ctx context.Context, f *fleet, n *node) (func() error, error)
	// once, if set, runs when all kubelets are healthy, until all nodes are whole.
	once func(ctx context.Context, f *fleet) error
	// finish, if set, waits for what is left to do, and ends what boot began.
	finish func(ctx context.Context, f *fleet) error
}

// floor is the same deletes by a client that knows what to delete: no look at
// the node, no list, no watch, no event and no report.
func floor() help {
	return help{name: "the same deletes, plain", limit: ownLimit, boot: func(ctx context.Context, f *fleet, n *node) (func() error, error) {
		var pods []pod

		for at, failed := range f.observer.failedPods() {
			if at.node == n.name {
				pods = append(pods, failed)
			}
		}

		return func() error {
			client, closeClient, err := n.connect(plainAgent)
			if err != nil {
				return err
			}

			defer closeClient()

			group, ctx := errgroup.WithContext(ctx)
			group.SetLimit(atOnce)

			for _, pod := range pods {
				group.Go(func() error { return deletePod(ctx, client, pod) })
			}

			return group.Wait()
		}, nil
	}}
}

func deletePod(ctx context.Context, client kubernetes.Interface, pod pod) error {
	err := client.CoreV1().Pods(namespace).Delete(ctx, pod.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("failed to delete pod %q: %w", pod.name, err)
	}

	return nil
}

// peers are what people use without rebound. The last one takes the back-offs
// away, so that nothing can follow it.
func peers() []help {
	return []help{
		{
			name: "one sweep with admin rights", limit: peerLimit,
			once: func(ctx context.Context, f *fleet) error { return f.sweep(ctx, deletePod) },
		},
		{
			name: "a sweep every two minutes", limit: peerLimit,
			once: func(ctx context.Context, f *fleet) error {
				// The reboot came when half of the interval was over.
				timer := time.NewTimer(sweepInterval / 2)
				defer timer.Stop()

				for {
					select {
					case <-ctx.Done():
						return nil
					case <-timer.C:
					}

					if err := f.sweep(ctx, evictPod); err != nil {
						return err
					}

					timer.Reset(sweepInterval)
				}
			},
		},
		{name: "the DaemonSet controller alone", limit: peerLimit},
		{
			name: "restart of kube-controller-manager", limit: peerLimit,
			once: func(ctx context.Context, f *fleet) error {
				if err := f.cluster.StopComponent(component.ControllerManager); err != nil {
					return err
				}

				return f.cluster.StartComponent(ctx, component.ControllerManager)
			},
		},
	}
}

// sweep lists the Failed pods once and does away with each.
func (f *fleet) sweep(ctx context.Context, remove func(context.Context, kubernetes.Interface, pod) error) error {
	config := f.cluster.Config()
	config.UserAgent = sweepAgent

	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("failed to make a client: %w", err)
	}

	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Failed"})
	if err != nil {
		return fmt.Errorf("failed to list Failed pods: %w", err)
	}

	for i := range list.Items {
		if err := remove(ctx, client, pod{list.Items[i].Name, list.Items[i].UID}); err != nil {
			return err
		}
	}

	return nil
}

// evictPod is what a descheduler does.
func evictPod(ctx context.Context, client kubernetes.Interface, pod pod) error {
	err := client.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: namespace, Name: pod.name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.uid}},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("failed to evict pod %q: %w", pod.name, err)
	}

	return nil
}

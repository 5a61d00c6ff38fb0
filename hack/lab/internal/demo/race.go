// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// recoveryLimit is longer than the longest back-off of the DaemonSet
	// controller, which is 15 minutes.
	recoveryLimit = 20 * time.Minute
	// settleLimit bounds the time from Ready pods until rebound says so.
	settleLimit = 30 * time.Second

	// floorRuns is how often the floor is measured.
	floorRuns = 3
)

// race is the nodes that are rebooted at the same moments.
type race struct {
	cluster  *lab.Lab
	nodes    []*lab.Node
	progress *show.Progress
	results  []Reboot
}

// lineUp brings the nodes and the DaemonSets up.
func lineUp(ctx context.Context, cluster *lab.Lab, rebound string, progress *show.Progress) (*race, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, show.BootLimit, fmt.Errorf("the nodes were not whole after %s", show.BootLimit))
	defer cancel()

	err := show.Populate(ctx, cluster, []show.Node{
		{Name: withMachined, Options: []lab.NodeOption{lab.WithRebound()}},
		{Name: withoutRebound},
		{Name: withAgent, Options: []lab.NodeOption{show.StockWithAgent(rebound)}},
	}, func(name string) {
		progress.Say("adding node %s (host of rebound: %s)", name, hosts[name])
	})
	if err != nil {
		return nil, err
	}

	return &race{cluster: cluster, nodes: cluster.Nodes(), progress: progress}, cluster.WaitReady(ctx)
}

// reboot reboots all nodes at once and waits until all are whole again.
func (r *race) reboot(ctx context.Context) error {
	began := time.Now()
	results := make([]Reboot, len(r.nodes))
	group, ctx := errgroup.WithContext(ctx)

	for i, node := range r.nodes {
		group.Go(func() error {
			recovery, err := r.rebootOne(ctx, node)
			host := hosts[node.Name()]

			results[i] = Reboot{
				Reboot: len(r.results)/len(r.nodes) + 1, Node: node.Name(), Rebound: host != HostNone, Host: host,
				RecoverySeconds: recovery.Seconds(), Began: began,
			}

			return err
		})
	}

	if err := group.Wait(); err != nil {
		return err
	}

	r.results = append(r.results, results...)

	return nil
}

func (r *race) rebootOne(ctx context.Context, node *lab.Node) (time.Duration, error) {
	r.progress.Node(node.Name(), "shutting down")

	if err := node.Stop(ctx); err != nil {
		return 0, err
	}

	r.progress.Node(node.Name(), "booting")

	if err := node.Start(ctx); err != nil {
		return 0, err
	}

	recovery, err := r.awaitRecovery(ctx, node)
	if err != nil {
		return 0, err
	}

	r.progress.Done(node.Name(), "whole again "+show.Seconds(recovery)+" after its kubelet was healthy")

	if hosts[node.Name()] != HostNone {
		// The next reboot finds rebound as it would after hours: with its watch closed.
		return recovery, waitRecovered(ctx, node)
	}

	return recovery, nil
}

// awaitRecovery waits until the kubelet of a node that has just been booted is
// healthy and the pods are Ready, and returns the time between the two.
func (r *race) awaitRecovery(ctx context.Context, node *lab.Node) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recoveryLimit, fmt.Errorf("not whole after %s", recoveryLimit))
	defer cancel()

	var healthy, ready time.Time

	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() (err error) {
		if healthy, err = node.WaitKubeletHealthy(ctx); err == nil {
			r.progress.Node(node.Name(), "kubelet is healthy, waiting for its DaemonSet pods")
		}

		return err
	})
	group.Go(func() (err error) {
		ready, err = node.WaitDaemonSetPodsReady(ctx)

		return err
	})

	if err := group.Wait(); err != nil {
		return 0, err
	}

	return max(0, ready.Sub(healthy)), nil
}

// waitRecovered waits until rebound says that the node is whole. That it does
// not is no reason to stop: the report shows what happened to the pods.
func waitRecovered(ctx context.Context, node *lab.Node) error {
	st, err := node.Recovery()
	if err != nil {
		return err
	}

	wait, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()

	_, err = st.WatchFor(wait, reboundres.NewRecoveryStatus().Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		status, ok := res.(*reboundres.RecoveryStatus)

		return ok && status.TypedSpec().Phase == specs.PhaseRecovered, nil
	}))
	if err != nil && wait.Err() == nil {
		return fmt.Errorf("failed to watch the recovery of node %q: %w", node.Name(), err)
	}

	return ctx.Err()
}

// measureFloor deletes a healthy pod of the CNI, whose init container makes it
// the slowest to start, and measures until its replacement is Ready: nothing
// that waits for the DaemonSet controller can be faster. The median counts.
func (r *race) measureFloor(ctx context.Context) (time.Duration, error) {
	node := r.nodes[0]
	floors := make([]time.Duration, 0, floorRuns)

	ctx, cancel := context.WithTimeoutCause(ctx, show.BootLimit, fmt.Errorf("a deleted pod was not replaced after %s", show.BootLimit))
	defer cancel()

	for i := range floorRuns {
		r.progress.Say("measuring the floor: a healthy DaemonSet pod is deleted (%d of %d)", i+1, floorRuns)

		deleted, err := r.deletePod(ctx, node)
		if err != nil {
			return 0, err
		}

		ready, err := node.WaitDaemonSetPodsReady(ctx)
		if err != nil {
			return 0, err
		}

		floors = append(floors, ready.Sub(deleted))
	}

	slices.Sort(floors)

	return floors[len(floors)/2], nil
}

// deletePod deletes the CNI's pod on the node and returns when it did.
func (r *race) deletePod(ctx context.Context, node *lab.Node) (time.Time, error) {
	pods := r.cluster.Client().CoreV1().Pods(metav1.NamespaceSystem)

	list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name(), LabelSelector: "app=" + show.CNI})
	if err != nil {
		return time.Time{}, fmt.Errorf("failed to list pods: %w", err)
	}

	// The pod of the run before may still be on its way out.
	healthy := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning
	})

	if len(healthy) != 1 {
		return time.Time{}, fmt.Errorf("failed to measure the floor: node %q runs %d pods of %s, not one", node.Name(), len(healthy), show.CNI)
	}

	deleted := time.Now()

	if err := pods.Delete(ctx, healthy[0].Name, metav1.DeleteOptions{}); err != nil {
		return time.Time{}, fmt.Errorf("failed to delete pod %q: %w", healthy[0].Name, err)
	}

	return deleted, nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// observeInterval is how often is looked for what is stuck, observeTimeout how
	// long that may take.
	observeInterval = 2 * time.Second
	observeTimeout  = 5 * time.Second
)

// observe asks the API server for what the ledger is about.
func (s *stage) observe(ctx context.Context, calm *calm) (Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()

	now := Observation{Calm: calm.since()}

	for _, node := range s.lab.Nodes() {
		undisturbed(now.Calm, node)
	}

	pods, err := s.lab.Client().CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("status.phase", string(corev1.PodFailed)).String(),
	})
	if err != nil {
		return now, fmt.Errorf("failed to list Failed pods: %w", err)
	}

	for _, pod := range pods.Items {
		if owner := metav1.GetControllerOf(&pod); owner != nil && owner.Kind == "DaemonSet" && pod.DeletionTimestamp == nil {
			now.Failed = append(now.Failed, FailedPod{UID: pod.UID, Name: pod.Name, Node: pod.Spec.NodeName, Reason: pod.Status.Reason})
		}
	}

	if err = s.observeReboots(ctx, &now); err != nil {
		return now, err
	}

	now.At = time.Now()

	return now, nil
}

// undisturbed takes a node that is down from those that nothing disturbs. One
// that is up has not been longer than its boot.
func undisturbed(since map[string]time.Time, node *lab.Node) {
	boots := node.Boots()
	at, ok := since[node.Name()]

	switch {
	case !ok || len(boots) == 0:
	case !boots[len(boots)-1].Down.IsZero():
		delete(since, node.Name())
	case boots[len(boots)-1].Up.After(at):
		since[node.Name()] = boots[len(boots)-1].Up
	}
}

func (s *stage) observeReboots(ctx context.Context, now *Observation) error {
	nodes, err := s.lab.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("failed to list nodes: %w", err)
	}

	for _, node := range nodes.Items {
		if node.Annotations[v1alpha1.CordonAnnotation] != "" {
			now.Marked = append(now.Marked, node.Name)
		}
	}

	var reboots v1alpha1.NodeRebootList

	if err = s.lab.Reboots().Get().Resource(v1alpha1.ResourceNodeReboots).Do(ctx).Into(&reboots); err != nil {
		return fmt.Errorf("failed to list NodeReboots: %w", err)
	}

	for _, reboot := range reboots.Items {
		switch reboot.Status.Phase {
		case v1alpha1.PhaseCordoned, v1alpha1.PhaseDrained, v1alpha1.PhaseGranted, v1alpha1.PhaseBack, v1alpha1.PhaseRestoring:
			now.InWork = append(now.InWork, reboot.Name)
		default:
		}
	}

	var budget v1alpha1.RebootBudget

	if err = s.lab.Reboots().Get().Resource(v1alpha1.ResourceRebootBudgets).Name(v1alpha1.RebootBudgetName).Do(ctx).Into(&budget); err != nil {
		return fmt.Errorf("failed to get RebootBudget: %w", err)
	}

	for _, holder := range budget.Status.Holders {
		now.Holders = append(now.Holders, holder.Node)
	}

	return nil
}

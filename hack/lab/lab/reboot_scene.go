// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// sceneInterval is how often is looked for what is not watched.
const sceneInterval = 50 * time.Millisecond

// RebootAgent is an agent that takes part in reboots, with a settle time that does
// not hold anybody up. Binary is the path of rebound.
func RebootAgent(binary string) Agent {
	return Agent{
		Binary: binary, Platform: platform.K3s, Args: []string{"--settle-time=1s"},
		Reboots: platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel},
	}
}

// PromptElection are flags of a coordinator that follows another one within
// seconds.
func PromptElection() []string {
	return []string{"--lease-duration=3s", "--renew-deadline=2s", "--retry-period=500ms", "--log-format=console"}
}

// RebootPolicy is one for the nodes with the labels, whose times do not hold
// anybody up.
func RebootPolicy(name string, labels map[string]string) *v1alpha1.RebootPolicy {
	return &v1alpha1.RebootPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.RebootPolicySpec{
			NodeSelector: metav1.LabelSelector{MatchLabels: labels},
			Drain:        v1alpha1.Drain{Timeout: metav1.Duration{Duration: time.Minute}, OnBlocked: v1alpha1.GiveUp},
			Reboot:       v1alpha1.Reboot{Method: v1alpha1.MethodAgent, Timeout: metav1.Duration{Duration: time.Minute}},
			Gates:        v1alpha1.Gates{Settle: metav1.Duration{Duration: time.Second}},
		},
	}
}

// WantReboot has the node's operating system want a reboot, as a package manager
// does.
func (node *Node) WantReboot() error {
	if err := os.WriteFile(filepath.Join(node.Root(), "run", "reboot-required"), nil, 0o600); err != nil {
		return fmt.Errorf("failed to want a reboot of node %q: %w", node.name, err)
	}

	return nil
}

// AwaitAgent waits until the node is Ready and its agent, if it has one, has
// reported.
func (node *Node) AwaitAgent(ctx context.Context) error {
	_, err := node.AwaitObject(ctx, func(object *corev1.Node) bool {
		return IsNodeReady(object) && (node.agent == nil || object.Annotations[v1alpha1.AgentAnnotation] != "")
	})

	return err
}

// Cordon makes the node unschedulable, or schedulable, as kubectl does.
func (node *Node) Cordon(ctx context.Context, unschedulable bool) error {
	_, err := node.lab.client.CoreV1().Nodes().Patch(ctx, node.name, types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("failed to cordon node %q: %w", node.name, err)
	}

	return nil
}

// AwaitReturned waits until the node is Ready and schedulable, without the
// coordinator's mark.
func (node *Node) AwaitReturned(ctx context.Context) error {
	_, err := node.AwaitObject(ctx, func(object *corev1.Node) bool {
		return IsNodeReady(object) && !object.Spec.Unschedulable && object.Annotations[v1alpha1.CordonAnnotation] == ""
	})

	return err
}

// AwaitSlots waits until these nodes and no others hold a slot.
func (lab *Lab) AwaitSlots(ctx context.Context, nodes ...string) error {
	_, err := lab.AwaitBudget(ctx, func(budget *v1alpha1.RebootBudget) bool {
		return slices.EqualFunc(budget.Status.Holders, nodes, func(holder v1alpha1.SlotHolder, node string) bool { return holder.Node == node })
	})

	return err
}

// ReadyPods returns the pods of a workload that are Ready and run. A kubelet may
// say that a pod is Ready before it runs (measured with 1.35), and the API server
// evicts a pod that does not, whatever its budget says.
func (lab *Lab) ReadyPods(ctx context.Context, namespace, workload string) ([]corev1.Pod, error) {
	list, err := lab.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel + "=" + workload})
	if err != nil {
		return nil, fmt.Errorf("failed to list pods of %q: %w", workload, err)
	}

	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || !IsPodReady(&pod)
	}), nil
}

// AwaitReadyPods waits until so many pods of a workload are Ready.
func (lab *Lab) AwaitReadyPods(ctx context.Context, namespace, workload string, ready int) error {
	return poll(ctx, fmt.Sprintf("%d pods of %q to be Ready", ready, workload), func(ctx context.Context) (bool, error) {
		pods, err := lab.ReadyPods(ctx, namespace, workload)

		return len(pods) == ready, err
	})
}

// LimitDisruptions applies a PodDisruptionBudget for a workload, and waits until
// the disruption controller has computed it.
func (lab *Lab) LimitDisruptions(ctx context.Context, namespace, workload string, maxUnavailable int32) error {
	if err := lab.Apply(ctx, DisruptionBudget(namespace, workload, maxUnavailable)); err != nil {
		return err
	}

	return poll(ctx, fmt.Sprintf("PodDisruptionBudget %q", workload), func(ctx context.Context) (bool, error) {
		budget, err := lab.client.PolicyV1().PodDisruptionBudgets(namespace).Get(ctx, workload, metav1.GetOptions{})
		if err != nil {
			return false, err
		}

		return budget.Status.ObservedGeneration == budget.Generation && budget.Status.DisruptionsAllowed == maxUnavailable, nil
	})
}

// AwaitLeader waits until one of the replicas leads, and returns it.
func AwaitLeader(ctx context.Context, replicas ...*Coordinator) (leader *Coordinator, err error) {
	err = poll(ctx, "a coordinator to lead", func(ctx context.Context) (bool, error) {
		for _, replica := range replicas {
			if !replica.Running() {
				continue
			}

			if leads, err := replica.Leads(ctx); err == nil && leads {
				leader = replica

				return true, nil
			}
		}

		return false, nil
	})

	return leader, err
}

func poll(ctx context.Context, what string, condition wait.ConditionWithContextFunc) error {
	err := wait.PollUntilContextCancel(ctx, sceneInterval, true, condition)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}

	if err != nil {
		return fmt.Errorf("failed to wait for %s: %w", what, err)
	}

	return nil
}

// ClearReboots leaves the objects of reboots as they were: without those of the
// nodes and the RebootPolicy, and with a RebootBudget that allows one node. The
// coordinators must have ended. One that was killed has left its Lease behind,
// which goes too.
func (lab *Lab) ClearReboots(ctx context.Context, policy string, nodes ...string) error {
	errs := make([]error, 0, 4+len(nodes))
	errs = append(errs,
		lab.Discard(ctx, v1alpha1.ResourceRebootPolicies, policy),
		lab.Discard(ctx, v1alpha1.ResourceRebootBudgets, v1alpha1.RebootBudgetName),
		lab.Apply(ctx, &v1alpha1.RebootBudget{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
			Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 1},
		}),
		lab.client.CoordinationV1().Leases(CoordinatorAccount.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
	)

	for _, node := range nodes {
		errs = append(errs, lab.Discard(ctx, v1alpha1.ResourceNodeReboots, node))
	}

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("failed to clear reboots: %w", err)
	}

	return nil
}

// MarkedNodes returns the names of the nodes that bear the coordinator's mark.
func (lab *Lab) MarkedNodes(ctx context.Context) ([]string, error) {
	list, err := lab.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to list nodes: %w", err)
	}

	var found []string

	for _, object := range list.Items {
		if object.Annotations[v1alpha1.CordonAnnotation] != "" {
			found = append(found, object.Name)
		}
	}

	return found, nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/internal/backoff"
)

// leaves tells whether a pod has to leave the node before it is rebooted.
func (p *planner) leaves(pod *Pod, policy *Policy) bool {
	if pod.DaemonSet || pod.Mirror || pod.Finished || !pod.Selected {
		return false
	}

	after := policy.Drain.SkipDeletingAfter
	if after == nil || pod.DeletedAt.IsZero() {
		return true
	}

	if until := pod.DeletedAt.Add(*after); p.now.Before(until) {
		p.wakeAt(until)

		return true
	}

	return false
}

// pods returns the node's pods in order.
func (p *planner) pods(name string) []Pod {
	return slices.SortedFunc(slices.Values(p.facts.Pods[name]), func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// preflight returns the pods that could not be evicted now.
func (p *planner) preflight(name string, policy *Policy) []BlockingPod {
	var blocking []BlockingPod

	// Every waiting node comes through here with every decision, so what is sorted is only what is found.
	pods := p.facts.Pods[name]
	for i := range pods {
		pod := &pods[i]
		if !p.leaves(pod, policy) {
			continue
		}

		if message := p.heldBy(pod); message != "" {
			blocking = append(blocking, BlockingPod{pod.Namespace, pod.Name, pod.Budgets, message})
		}
	}

	slices.SortFunc(blocking, func(a, b BlockingPod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})

	return blocking
}

// heldBy returns which budget keeps a pod from being evicted, or nothing. It follows the rules of the API server
// (Kubernetes v1.36.3, pkg/registry/core/pod/storage/eviction.go): pods that have not started, have ended or are being
// deleted may always go, and so may pods that are not Ready if the others are as many as the budget demands.
func (p *planner) heldBy(pod *Pod) string {
	if pod.Pending || pod.Finished || !pod.DeletedAt.IsZero() || len(pod.Budgets) == 0 {
		return ""
	}

	if len(pod.Budgets) > 1 {
		return fmt.Sprintf("PodDisruptionBudgets %s select it at the same time, so the API server does not evict it",
			strings.Join(pod.Budgets, ", "))
	}

	name := pod.Budgets[0]
	budget := p.facts.PodBudgets[name]

	switch {
	case !pod.Ready && (budget.AlwaysAllowsUnhealthy || budget.Healthy):
		return ""
	case !budget.Current:
		return fmt.Sprintf("PodDisruptionBudget %s was not computed yet by kube-controller-manager", name)
	case budget.Allowed < 1:
		return fmt.Sprintf("PodDisruptionBudget %s allows no disruption now", name)
	}

	return ""
}

// drain is what the pods of a node do.
type drain struct {
	// actions are due now, left are those that have not left, and blocking those of them that cannot.
	actions  []PodAction
	left     []Pod
	blocking []BlockingPod
}

// planDrain makes the pods leave. With force, a pod that cannot be evicted is deleted.
func (p *planner) planDrain(name string, policy *Policy, force bool) drain {
	var d drain

	for _, pod := range p.pods(name) {
		if pod.Finished && !pod.DaemonSet && !pod.Mirror && pod.Selected && pod.DeletedAt.IsZero() {
			d.add(p.act(&pod, PodAction{Pod: pod, Delete: true}))
		}

		if !p.leaves(&pod, policy) {
			continue
		}

		d.left = append(d.left, pod)

		if !pod.DeletedAt.IsZero() {
			if len(pod.Finalizers) > 0 {
				message := "is being deleted, and held by " + strings.Join(pod.Finalizers, ", ")
				d.blocking = append(d.blocking, BlockingPod{pod.Namespace, pod.Name, nil, message})
			}

			continue
		}

		held := cmp.Or(p.facts.Evictions[pod.UID].Message, p.heldBy(&pod))
		action := PodAction{Pod: pod, GracePeriodSeconds: policy.Drain.GracePeriodSeconds}

		if held != "" {
			d.blocking = append(d.blocking, BlockingPod{pod.Namespace, pod.Name, pod.Budgets, held})
			action.Delete, action.Forced = force, force
		}

		d.add(p.act(&pod, action))
	}

	return d
}

func (d *drain) add(action PodAction, due bool) {
	if due {
		d.actions = append(d.actions, action)
	}
}

// act tells whether an action is due. After a failure the next one waits, but not for long if nothing holds the pod any
// more, and not at all before the first time that force applies.
func (p *planner) act(pod *Pod, action PodAction) (PodAction, bool) {
	eviction := p.facts.Evictions[pod.UID]

	if eviction.InFlight {
		return action, false
	}

	delay := backoff.Delay(eviction.Tries, evictionDelay, evictionDelayLimit)
	if eviction.Tries > 0 && (p.heldBy(pod) == "" || action.Forced) {
		delay = evictionDelay
	}

	// The time of a try is exact where now is in whole seconds.
	if due := eviction.LastAt.Add(delay); eviction.Tries > 0 && p.now.Before(due.Truncate(time.Second)) {
		p.wakeAt(due)

		return action, false
	}

	return action, true
}

// describe names a few pods and what holds them.
func describe(blocking []BlockingPod) string {
	texts := make([]string, len(blocking))
	for i, pod := range blocking {
		texts[i] = pod.String()
	}

	if len(texts) > namedInMessage {
		return fmt.Sprintf("%s; and %d more", strings.Join(texts[:namedInMessage], "; "), len(texts)-namedInMessage)
	}

	return strings.Join(texts, "; ")
}

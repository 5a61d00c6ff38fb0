// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// NodeNameField is the name of the index of pods by the node that they are bound to.
const NodeNameField = "spec.nodeName"

// IndexPod returns the key of a pod in that index.
func IndexPod(object client.Object) []string {
	if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}
	}

	return nil
}

// Snapshot is what was read in one go: the facts, and the objects that they were made of.
type Snapshot struct {
	Facts reboot.Facts
	// Budget is nil if there is none.
	Budget  *v1alpha1.RebootBudget
	Reboots map[string]*v1alpha1.NodeReboot
	Nodes   map[string]*corev1.Node
}

// Objects reads the objects as new as this process knows them: from a cache, or as it has written them itself.
type Objects interface {
	Budget(ctx context.Context) (*v1alpha1.RebootBudget, error)
	Reboots(ctx context.Context) ([]*v1alpha1.NodeReboot, error)
	Nodes(ctx context.Context) ([]*corev1.Node, error)
}

// Reader reads. Everything that it returns belongs to the cache and must not be changed.
type Reader struct {
	Client  client.Reader
	Objects Objects
	// Watching is told the nodes whose pods matter, before these are read: whoever lets changes of pods lead to a new decision
	// only for those nodes misses none that comes after. Nil tells nobody.
	Watching func(nodes sets.Set[string])
}

// Read returns what is known at present. What only the caller knows is missing: Evictions, TalosAPI and Talos.
func (r *Reader) Read(ctx context.Context) (*Snapshot, error) {
	snapshot := &Snapshot{Reboots: map[string]*v1alpha1.NodeReboot{}, Nodes: map[string]*corev1.Node{}}

	var err error

	if snapshot.Budget, err = r.Objects.Budget(ctx); err != nil {
		return nil, fmt.Errorf("failed to read the RebootBudget: %w", err)
	}

	snapshot.Facts.Budget = budgetFacts(snapshot.Budget)

	selectors, err := r.readPolicies(ctx, &snapshot.Facts)
	if err != nil {
		return nil, err
	}

	if err = r.readNodes(ctx, snapshot, selectors); err != nil {
		return nil, err
	}

	if err = r.readReboots(ctx, snapshot); err != nil {
		return nil, err
	}

	busy, etcd := nodesWithPods(&snapshot.Facts)
	if r.Watching != nil {
		r.Watching(busy.Union(etcd))
	}

	if err = r.readPods(ctx, snapshot, selectors, busy, etcd); err != nil {
		return nil, err
	}

	return snapshot, nil
}

// selectors are those of one policy.
type selectors struct {
	nodes, pods labels.Selector
}

func (r *Reader) readPolicies(ctx context.Context, facts *reboot.Facts) (map[string]selectors, error) {
	var list v1alpha1.RebootPolicyList

	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("failed to read the RebootPolicies: %w", err)
	}

	found := make(map[string]selectors, len(list.Items))

	for i := range list.Items {
		policy, selects := policyFacts(&list.Items[i])
		facts.Policies = append(facts.Policies, policy)
		found[policy.Name] = selects
	}

	return found, nil
}

func (r *Reader) readNodes(ctx context.Context, snapshot *Snapshot, policies map[string]selectors) error {
	nodes, err := r.Objects.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("failed to read the Nodes: %w", err)
	}

	snapshot.Facts.Nodes = make(map[string]reboot.Node, len(nodes))

	for _, object := range nodes {
		node := NodeFacts(object)

		for name, policy := range policies {
			if policy.nodes.Matches(labels.Set(object.Labels)) {
				node.Policies = append(node.Policies, name)
			}
		}

		snapshot.Nodes[object.Name] = object
		snapshot.Facts.Nodes[object.Name] = node
	}

	return nil
}

func (r *Reader) readReboots(ctx context.Context, snapshot *Snapshot) error {
	reboots, err := r.Objects.Reboots(ctx)
	if err != nil {
		return fmt.Errorf("failed to read the NodeReboots: %w", err)
	}

	snapshot.Facts.Reboots = make(map[string]reboot.Reboot, len(reboots))

	for _, object := range reboots {
		snapshot.Reboots[object.Name] = object
		snapshot.Facts.Reboots[object.Name] = RebootFacts(object)
	}

	return nil
}

// nodesWithPods returns the nodes that have something to do, all of whose pods matter, and those whose pods of etcd do.
func nodesWithPods(facts *reboot.Facts) (busy, etcd sets.Set[string]) {
	busy, etcd = sets.Set[string]{}, sets.Set[string]{}

	for name, node := range facts.Nodes {
		if object, asked := facts.Reboots[name]; asked && object.Status.Phase != reboot.PhaseDone {
			busy.Insert(name)
		}

		if node.ControlPlane && len(facts.Reboots) > 0 {
			etcd.Insert(name)
		}
	}

	return busy, etcd
}

// readPods reads the pods of the nodes that have something to do, and those of etcd.
func (r *Reader) readPods(ctx context.Context, snapshot *Snapshot, policies map[string]selectors, busy, etcd sets.Set[string]) error {
	budgets := &podBudgets{client: r.Client, byNamespace: map[string][]podBudget{}, byLabels: map[labelled][]string{}, facts: map[string]reboot.PodBudget{}}
	snapshot.Facts.PodBudgets = budgets.facts
	snapshot.Facts.Pods = make(map[string][]reboot.Pod, len(busy))

	for name := range busy.Union(etcd) {
		var list corev1.PodList

		if err := r.Client.List(ctx, &list, client.MatchingFields{NodeNameField: name}, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("failed to read the pods of node %q: %w", name, err)
		}

		node := snapshot.Facts.Nodes[name]

		if etcd.Has(name) {
			countEtcd(&node, list.Items)
			snapshot.Facts.Nodes[name] = node
		}

		if !busy.Has(name) {
			continue
		}

		selector := labels.Everything()
		if policy, ok := reboot.PolicyOf(node, snapshot.Facts.Policies); ok {
			selector = policies[policy.Name].pods
		}

		pods, err := podsOf(ctx, list.Items, selector, budgets)
		if err != nil {
			return err
		}

		snapshot.Facts.Pods[name] = pods
	}

	return nil
}

func podsOf(ctx context.Context, objects []corev1.Pod, selector labels.Selector, budgets *podBudgets) ([]reboot.Pod, error) {
	pods := make([]reboot.Pod, len(objects))

	for i := range objects {
		pods[i] = PodFacts(&objects[i])
		pods[i].Selected = selector.Matches(labels.Set(objects[i].Labels))

		var err error

		if pods[i].Budgets, err = budgets.of(ctx, &objects[i]); err != nil {
			return nil, err
		}
	}

	return pods, nil
}

// podBudgets finds the PodDisruptionBudgets that select a pod.
type podBudgets struct {
	client      client.Reader
	byNamespace map[string][]podBudget
	// byLabels are those that select pods with such labels in such a namespace: most pods share both with many others, and
	// a large namespace has hundreds of budgets to compare each with.
	byLabels map[labelled][]string
	facts    map[string]reboot.PodBudget
}

// labelled is what a budget looks at.
type labelled struct{ namespace, labels string }

type podBudget struct {
	id       string
	selector labels.Selector
}

func (b *podBudgets) of(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	budgets, known := b.byNamespace[pod.Namespace]

	if !known {
		var list policyv1.PodDisruptionBudgetList

		if err := b.client.List(ctx, &list, client.InNamespace(pod.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("failed to read the PodDisruptionBudgets of namespace %q: %w", pod.Namespace, err)
		}

		for i := range list.Items {
			budget := podBudget{id: pod.Namespace + "/" + list.Items[i].Name, selector: selector(list.Items[i].Spec.Selector)}
			budgets = append(budgets, budget)
			b.facts[budget.id] = podBudgetFacts(&list.Items[i])
		}

		b.byNamespace[pod.Namespace] = budgets
	}

	key := labelled{pod.Namespace, labels.Set(pod.Labels).String()}

	found, known := b.byLabels[key]
	if known {
		return found, nil
	}

	for _, budget := range budgets {
		if budget.selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, budget.id)
		}
	}

	b.byLabels[key] = slices.Clip(found)

	return b.byLabels[key], nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// NodeSight is how a node was seen at a moment, with what matters for reboots.
type NodeSight struct {
	At   time.Time
	Node string
	// Gone says that there was no such node any more; the rest is zero then.
	Gone bool
	// BootID is the boot that its kubelet has reported.
	BootID string
	// Ready is whether its condition Ready is True.
	Ready bool
	// Unschedulable is whether it is cordoned, by whomever.
	Unschedulable bool
	// Mark says in the coordinator's words that the cordon is its own; else empty.
	Mark string
	// Wanted says that its agent wants a reboot, in the present boot.
	Wanted bool
}

// Available says whether the node takes pods.
func (sight NodeSight) Available() bool { return !sight.Gone && sight.Ready && !sight.Unschedulable }

// PhaseSight is how a NodeReboot was seen at a moment.
type PhaseSight struct {
	At     time.Time
	Node   string
	Phase  v1alpha1.Phase
	Reason string
	// Gone says that there was no such NodeReboot any more.
	Gone bool
}

// Witness writes down what the API server shows of nodes and their reboots, in
// the order of the events. It takes no part in anything.
type Witness struct {
	ended sync.WaitGroup
	// tell is given every sight of a node; nil for nobody.
	tell func(NodeSight)

	mu     sync.Mutex
	nodes  []NodeSight
	phases []PhaseSight
	// slots is the largest number of holders that the RebootBudget had.
	slots int
}

// Witness begins to watch, until ctx is done. It returns when it has seen all
// nodes that there are. The CRDs have to be applied first.
func (lab *Lab) Witness(ctx context.Context) (*Witness, error) {
	witness := &Witness{}

	synced := []cache.InformerSynced{
		observe(ctx, witness, lab.client.CoreV1().RESTClient(), "nodes", &corev1.Node{}, witness.seeNode),
		observe(ctx, witness, lab.reboots, v1alpha1.ResourceNodeReboots, &v1alpha1.NodeReboot{}, witness.seeReboot),
		observe(ctx, witness, lab.reboots, v1alpha1.ResourceRebootBudgets, &v1alpha1.RebootBudget{}, witness.seeBudget),
	}

	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		witness.Wait()

		return nil, fmt.Errorf("failed to watch nodes and reboots: %w", context.Cause(ctx))
	}

	return witness, nil
}

// WitnessNodes begins to watch the nodes alone, as Witness does. No CRDs need be
// there. Every sight of a node is told as well, one after the other.
func (lab *Lab) WitnessNodes(ctx context.Context, tell func(NodeSight)) (*Witness, error) {
	witness := &Witness{tell: tell}

	if !cache.WaitForCacheSync(ctx.Done(), observe(ctx, witness, lab.client.CoreV1().RESTClient(), "nodes", &corev1.Node{}, witness.seeNode)) {
		witness.Wait()

		return nil, fmt.Errorf("failed to watch nodes: %w", context.Cause(ctx))
	}

	return witness, nil
}

// Wait returns when the watching, whose context has ended, has too.
func (witness *Witness) Wait() { witness.ended.Wait() }

// observe tells see about every object there is, and then about every change.
func observe[T runtime.Object](ctx context.Context, witness *Witness, client cache.Getter, resource string, object T, see func(object T, gone bool)) cache.InformerSynced {
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client, resource, "", fields.Everything()),
		ObjectType:    object,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(object any) {
				if object, ok := object.(T); ok {
					see(object, false)
				}
			},
			UpdateFunc: func(_, object any) {
				if object, ok := object.(T); ok {
					see(object, false)
				}
			},
			DeleteFunc: func(object any) {
				if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
					object = last.Obj
				}

				if object, ok := object.(T); ok {
					see(object, true)
				}
			},
		},
	})

	witness.ended.Go(func() { informer.RunWithContext(ctx) })

	return informer.HasSynced
}

func (witness *Witness) seeNode(node *corev1.Node, gone bool) {
	sight := NodeSight{At: time.Now(), Node: node.Name, Gone: gone}

	if !gone {
		sight.BootID = node.Status.NodeInfo.BootID
		sight.Ready = IsNodeReady(node)
		sight.Unschedulable = node.Spec.Unschedulable
		sight.Mark = node.Annotations[v1alpha1.CordonAnnotation]

		report, err := v1alpha1.ParseAgentReport(node.Annotations[v1alpha1.AgentAnnotation])
		sight.Wanted = err == nil && report.Wanted && report.BootID == sight.BootID
	}

	if witness.keep(sight) && witness.tell != nil {
		witness.tell(sight)
	}
}

// keep writes a sight down unless it is like the one before: most changes of a
// node are heartbeats.
func (witness *Witness) keep(sight NodeSight) bool {
	witness.mu.Lock()
	defer witness.mu.Unlock()

	for _, last := range slices.Backward(witness.nodes) {
		if last.Node == sight.Node {
			last.At = sight.At

			if last == sight {
				return false
			}

			break
		}
	}

	witness.nodes = append(witness.nodes, sight)

	return true
}

func (witness *Witness) seeReboot(reboot *v1alpha1.NodeReboot, gone bool) {
	witness.mu.Lock()
	defer witness.mu.Unlock()

	witness.phases = append(witness.phases, PhaseSight{
		At: time.Now(), Node: reboot.Name, Phase: reboot.Status.Phase, Reason: reboot.Status.Reason, Gone: gone,
	})
}

func (witness *Witness) seeBudget(budget *v1alpha1.RebootBudget, gone bool) {
	witness.mu.Lock()
	defer witness.mu.Unlock()

	if !gone {
		witness.slots = max(witness.slots, len(budget.Status.Holders))
	}
}

// Nodes returns what was seen of the nodes, one of them if it is named, each
// time something had changed.
func (witness *Witness) Nodes(name string) []NodeSight {
	witness.mu.Lock()
	defer witness.mu.Unlock()

	return slices.DeleteFunc(slices.Clone(witness.nodes), func(sight NodeSight) bool { return name != "" && sight.Node != name })
}

// Phases returns what was seen of the node's NodeReboot.
func (witness *Witness) Phases(name string) []PhaseSight {
	witness.mu.Lock()
	defer witness.mu.Unlock()

	return slices.DeleteFunc(slices.Clone(witness.phases), func(sight PhaseSight) bool { return sight.Node != name })
}

// MaxSlots returns how many nodes held a slot of the RebootBudget at a time.
func (witness *Witness) MaxSlots() int {
	witness.mu.Lock()
	defer witness.mu.Unlock()

	return witness.slots
}

// Exceeded says that more nodes than the limit held a slot or were cordoned by the
// coordinator at a time, and nothing if that was not so.
func (witness *Witness) Exceeded(limit int) []string {
	var found []string

	for what, most := range map[string]int{"held a slot": witness.MaxSlots(), "were cordoned by the coordinator": witness.MaxCordoned()} {
		if most > limit {
			found = append(found, fmt.Sprintf("%d nodes %s at a time, of which %d were allowed", most, what, limit))
		}
	}

	return found
}

// MaxUnavailable returns how many nodes were not available at a time, whatever
// the reason. Nodes that were not available when it began to watch are counted
// from the moment on at which they were.
func (witness *Witness) MaxUnavailable() int {
	return witness.most(func(sight NodeSight) bool { return !sight.Available() && !sight.Gone })
}

// MaxCordoned returns how many nodes bore the coordinator's mark at a time.
func (witness *Witness) MaxCordoned() int {
	return witness.most(func(sight NodeSight) bool { return sight.Mark != "" && sight.Unschedulable })
}

func (witness *Witness) most(is func(NodeSight) bool) int {
	now, available, most := map[string]bool{}, map[string]bool{}, 0

	for _, sight := range witness.Nodes("") {
		if !is(sight) {
			available[sight.Node] = true
		}

		now[sight.Node] = is(sight) && available[sight.Node]
		count := 0

		for is := range maps.Values(now) {
			if is {
				count++
			}
		}

		most = max(most, count)
	}

	return most
}

// Cordoned returns for how long the node was cordoned, by whomever and all in
// all, until now if it still is.
func (witness *Witness) Cordoned(name string) time.Duration {
	var (
		total time.Duration
		since time.Time
	)

	for _, sight := range witness.Nodes(name) {
		switch {
		case sight.Unschedulable && since.IsZero():
			since = sight.At
		case !sight.Unschedulable && !since.IsZero():
			total += sight.At.Sub(since)
			since = time.Time{}
		}
	}

	if !since.IsZero() {
		total += time.Since(since)
	}

	return total
}

// Rebooted returns when the node was first seen in another boot than the one in
// which it was seen at first; zero if it was not.
func (witness *Witness) Rebooted(name string) time.Time {
	sights := witness.Nodes(name)

	for _, sight := range sights {
		if !sight.Gone && sight.BootID != sights[0].BootID {
			return sight.At
		}
	}

	return time.Time{}
}

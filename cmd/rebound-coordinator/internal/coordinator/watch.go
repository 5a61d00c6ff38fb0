// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
)

const (
	// errorDelay and errorDelayLimit bound the time between two decisions while something fails.
	errorDelay      = 100 * time.Millisecond
	errorDelayLimit = 5 * time.Second
)

// cluster is the one thing that is decided about.
var cluster = []reconcile.Request{{}}

// news tells that a worker has something to say.
type news struct {
	events chan event.GenericEvent
}

func newNews() *news { return &news{events: make(chan event.GenericEvent, 1)} }

// tell never waits: one piece of news that is not yet heard is as good as many.
func (n *news) tell() {
	select {
	case n.events <- event.GenericEvent{Object: &corev1.Node{}}:
	default:
	}
}

// watch makes every change that can matter lead to a decision. Changes that come together lead to one.
func (r *reconciler) watch(manager ctrl.Manager, n *news) error {
	c, err := controller.New("reboots", manager, controller.Options{
		Reconciler:              r,
		MaxConcurrentReconciles: 1,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](errorDelay, errorDelayLimit),
	})
	if err != nil {
		return fmt.Errorf("failed to create controller: %w", err)
	}

	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return cluster })

	sources := []source.Source{
		source.Channel(n.events, all),
		source.Kind(manager.GetCache(), client.Object(&corev1.Node{}), all, r.nodeChanges()),
		source.Kind(manager.GetCache(), client.Object(&corev1.Pod{}), all, r.podChanges()),
	}

	for _, object := range watched {
		sources = append(sources, source.Kind(manager.GetCache(), object, all))
	}

	for _, s := range sources {
		if err = c.Watch(s); err != nil {
			return fmt.Errorf("failed to watch: %w", err)
		}
	}

	return nil
}

// nodeChanges leaves out that a node is alive still: in a large cluster one of them says so all the time. Of a node that
// reboots it matters, since one that is alive in its old boot for too long is asked again.
func (r *reconciler) nodeChanges() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, isNode := e.ObjectOld.(*corev1.Node)
		now, _ := e.ObjectNew.(*corev1.Node)

		return !isNode || r.isBusy(now.Name) || !sameNode(was, now)
	}}
}

func sameNode(was, now *corev1.Node) bool {
	a, b := read.NodeFacts(was), read.NodeFacts(now)
	a.HeartbeatAt, b.HeartbeatAt = time.Time{}, time.Time{}

	return maps.Equal(was.Labels, now.Labels) && reflect.DeepEqual(a, b) && sameAddresses(was, now)
}

func sameAddresses(was, now *corev1.Node) bool {
	return reflect.DeepEqual(was.Status.Addresses, now.Status.Addresses)
}

// podChanges leaves out the pods of nodes that have nothing to do.
func (r *reconciler) podChanges() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(object client.Object) bool {
		pod, ok := object.(*corev1.Pod)

		return ok && r.isBusy(pod.Spec.NodeName)
	})
}

// setBusy says for which nodes changes of their pods matter.
func (r *reconciler) setBusy(nodes sets.Set[string]) { r.busy.Store(&nodes) }

// isBusy tells whether changes of the node's pods matter. All do until the first decision.
func (r *reconciler) isBusy(node string) bool {
	busy := r.busy.Load()

	return busy == nil || busy.Has(node)
}

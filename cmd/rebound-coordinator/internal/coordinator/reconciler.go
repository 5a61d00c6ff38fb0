// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/internal/reboot"
)

const (
	// staleDelay is when to decide again if what was read turned out to be old. The news is on its way; as long as it does not
	// come, the delay doubles up to staleDelayLimit.
	staleDelay      = 100 * time.Millisecond
	staleDelayLimit = 2 * time.Second
	// soonest bounds how soon a decision may follow another without news.
	soonest = 50 * time.Millisecond
)

// reconciler reads, decides and applies.
type reconciler struct {
	reader  *read.Reader
	store   *store.Store
	evictor *apply.Evictor
	// talos is nil if there is no talosconfig.
	talos   *apply.Talos
	applier *apply.Applier
	teller  *teller

	// busy are the nodes whose changes of pods matter; nil until the first decision.
	busy atomic.Pointer[sets.Set[string]]
	// delay is the present staleDelay; 0 if what was read last was not old.
	delay time.Duration
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	snapshot, err := r.read(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}

	decision := reboot.Plan(snapshot.Facts, time.Now())
	r.teller.count(&snapshot.Facts, &decision)

	stale, err := r.applier.Apply(ctx, snapshot, &decision)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("failed to apply: %w", err)
	}

	if stale {
		r.delay = min(max(staleDelay, 2*r.delay), staleDelayLimit)

		return ctrl.Result{RequeueAfter: r.delay}, nil
	}

	r.delay = 0

	if at := decision.LookAgain; !at.IsZero() {
		return ctrl.Result{RequeueAfter: max(soonest, time.Until(at))}, nil
	}

	return ctrl.Result{}, nil
}

// read reads everything that a decision rests on.
func (r *reconciler) read(ctx context.Context) (*read.Snapshot, error) {
	snapshot, err := r.reader.Read(ctx)
	if err != nil {
		return nil, err
	}

	facts := &snapshot.Facts

	// A pod that was tried counts as long as its node is being drained.
	leaving := sets.Set[string]{}
	uids := sets.Set[types.UID]{}

	for name, object := range facts.Reboots {
		uids.Insert(types.UID(object.UID))

		if object.Status.Phase != reboot.PhaseCordoned {
			continue
		}

		for _, pod := range facts.Pods[name] {
			leaving.Insert(pod.UID)
		}
	}

	facts.Evictions = r.evictor.Evictions(leaving.Has)

	if r.talos != nil {
		facts.TalosAPI = true
		facts.Talos = r.talos.Answers(func(node string) bool {
			_, exists := facts.Nodes[node]

			return exists
		})
	}

	if snapshot.Budget != nil {
		uids.Insert(snapshot.Budget.UID)
	}

	for _, node := range snapshot.Nodes {
		uids.Insert(node.UID)
	}

	r.store.Forget(uids.Has)

	return snapshot, nil
}

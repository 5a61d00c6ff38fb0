// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// parallelWrites is how many objects are written at a time.
const parallelWrites = 8

// talosCallTimeout is how long after a decision the Talos API may still be asked for the reboot. It is shorter than the time
// after which another coordinator would ask (aliveAfter of internal/reboot).
const talosCallTimeout = 30 * time.Second

// errOld says that the API server has something newer than what was decided on.
var errOld = errors.New("what was read is old")

// Applier carries out decisions, one after the other.
type Applier struct {
	Store   *store.Store
	Evictor *Evictor
	// Talos is nil if there is no talosconfig.
	Talos  *Talos
	Told   func(Told)
	Logger *zap.Logger
}

// Told is a status that was written, for events and metrics.
type Told struct {
	Object   *v1alpha1.NodeReboot
	Was, Now reboot.Status
}

// Apply carries out a decision. What fails does not keep the rest from being done. It returns whether something that was
// read turned out to be old, so that it is to be decided again without waiting for news.
func (a *Applier) Apply(ctx context.Context, s *read.Snapshot, d *reboot.Decision) (stale bool, err error) {
	results := &results{}

	results.add(a.writeBudget(ctx, s, d))

	group := errgroup.Group{}
	group.SetLimit(parallelWrites)

	run := func(work func() error) {
		group.Go(func() error {
			results.add(work())

			return nil
		})
	}

	for _, name := range inOrder(d.Reboots) {
		run(func() error { return a.applyReboot(ctx, s, name, d.Reboots[name]) })
	}

	for _, name := range d.Strays {
		run(func() error { return a.restoreStray(ctx, s, name) })
	}

	for _, wish := range d.Wishes {
		run(func() error { return a.grantWish(ctx, s, wish) })
	}

	for _, name := range d.Withdrawn {
		run(func() error { return a.Store.Delete(ctx, s.Reboots[name]) })
	}

	for _, name := range d.Checks {
		a.Talos.Check(name, address(s.Nodes[name]), otherControlPlanes(s, name))
	}

	_ = group.Wait() // the results have the errors

	return results.stale, errors.Join(results.errs...)
}

// inOrder returns those under way, then the queue: when the first one goes, the places of all others change.
func inOrder(reboots map[string]reboot.Next) []string {
	return slices.SortedFunc(maps.Keys(reboots), func(a, b string) int {
		return cmp.Or(cmp.Compare(reboots[a].Status.Place, reboots[b].Status.Place), cmp.Compare(a, b))
	})
}

// results are those of many writes.
type results struct {
	mu    sync.Mutex
	stale bool
	errs  []error
}

func (r *results) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	switch {
	case err == nil:
	case errors.Is(err, errOld), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		r.stale = true
	default:
		r.errs = append(r.errs, err)
	}
}

// writeBudget writes who holds a slot. What is not in the cache may have been made just now, so before its slot is given
// away, to another node or to an older object of the same name, the API server is asked. If it is there the whole decision
// is not to be written: it may have given somebody the very slot that seemed to be free.
func (a *Applier) writeBudget(ctx context.Context, s *read.Snapshot, d *reboot.Decision) error {
	if s.Budget == nil {
		return nil
	}

	for name, holder := range s.Facts.Budget.Holders {
		if s.Facts.Reboots[name].UID == holder.UID {
			continue
		}

		live, err := a.Store.Live(ctx, name)
		if err != nil {
			return fmt.Errorf("failed to read NodeReboot %q: %w", name, err)
		}

		if live != nil && string(live.UID) == holder.UID {
			return fmt.Errorf("failed to give back the slot of node %q: %w", name, errOld)
		}
	}

	status := v1alpha1.RebootBudgetStatus{Waiting: int32(d.Waiting)}

	for _, name := range slices.Sorted(maps.Keys(d.Holders)) {
		status.Holders = append(status.Holders, holderObject(name, d.Holders[name]))
	}

	status.HeldBy = heldBy(status.Holders)

	if equality.Semantic.DeepEqual(s.Budget.Status, status) {
		return nil
	}

	changed := s.Budget.DeepCopy()
	changed.Status = status

	if err := a.Store.WriteStatus(ctx, changed); err != nil {
		return fmt.Errorf("failed to write the slots of RebootBudget %q: %w", s.Budget.Name, err)
	}

	return nil
}

// applyReboot writes the status and carries out what belongs to the one that was read.
func (a *Applier) applyReboot(ctx context.Context, s *read.Snapshot, name string, next reboot.Next) error {
	object, begun := s.Reboots[name], time.Now()

	// The status goes first: if another coordinator has changed it, what follows is no longer to be done.
	if err := a.writeStatus(ctx, object, next); err != nil {
		return err
	}

	for _, action := range next.Pods {
		a.Evictor.Submit(action)
	}

	node := s.Nodes[name]
	if node == nil {
		return nil
	}

	if next.Cordon+next.Restore+next.Grant != "" {
		if err := a.checkStep(ctx, object); err != nil {
			return err
		}
	}

	switch {
	case next.Cordon != "":
		return a.cordon(ctx, node, next.Cordon)
	case next.Restore != "":
		return a.restore(ctx, node, next.Restore)
	case next.Grant != "":
		if err := a.grant(ctx, node, v1alpha1.Grant{UID: object.UID, BootID: next.Grant}); err != nil {
			return err
		}
	}

	if next.CallTalos {
		a.Talos.Reboot(name, address(node), reboot.Mark(string(object.UID), int(object.Status.Attempt)),
			next.Grant == "", begun.Add(talosCallTimeout))
	}

	return nil
}

// checkStep asks the API server whether the attempt is still in the step that was read. The Node may be newer than the
// NodeReboot here: then a write to it would succeed although the attempt is over. Nodes are read before this is asked, and
// given back after the step was left, so a write that succeeds comes before that.
func (a *Applier) checkStep(ctx context.Context, object *v1alpha1.NodeReboot) error {
	live, err := a.Store.Live(ctx, object.Name)
	if err != nil {
		return fmt.Errorf("failed to read NodeReboot %q: %w", object.Name, err)
	}

	if live == nil || live.UID != object.UID || live.Status.Attempt != object.Status.Attempt || live.Status.Phase != object.Status.Phase {
		return fmt.Errorf("failed to go on with NodeReboot %q: %w", object.Name, errOld)
	}

	return nil
}

func (a *Applier) writeStatus(ctx context.Context, object *v1alpha1.NodeReboot, next reboot.Next) error {
	was := read.StatusFacts(&object.Status)
	status := statusObject(&next.Status)

	if !equality.Semantic.DeepEqual(object.Status, status) {
		changed := object.DeepCopy()
		changed.Status = status

		if err := a.Store.WriteStatus(ctx, changed); err != nil {
			return fmt.Errorf("failed to write the status of NodeReboot %q: %w", object.Name, err)
		}

		a.Told(Told{Object: changed, Was: was, Now: next.Status})

		object = changed
	}

	has := slices.Contains(object.Finalizers, v1alpha1.Finalizer)
	if has == next.Finalizer {
		return nil
	}

	finalizers := slices.DeleteFunc(slices.Clone(object.Finalizers), func(f string) bool { return f == v1alpha1.Finalizer })
	if next.Finalizer {
		finalizers = append(finalizers, v1alpha1.Finalizer)
	}

	if err := a.Store.Patch(ctx, object, map[string]any{"metadata": map[string]any{"finalizers": finalizers}}); err != nil {
		return fmt.Errorf("failed to change the finalizers of NodeReboot %q: %w", object.Name, err)
	}

	return nil
}

// cordon cordons the node, unless it has changed since it was seen to be schedulable.
func (a *Applier) cordon(ctx context.Context, node *corev1.Node, mark string) error {
	if err := a.Store.Patch(ctx, node, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{v1alpha1.CordonAnnotation: mark}},
		"spec":     map[string]any{"unschedulable": true},
	}); err != nil {
		return fmt.Errorf("failed to cordon node %q: %w", node.Name, err)
	}

	return nil
}

// restore takes away what is ours: the grant, and the cordon if it bears our mark.
func (a *Applier) restore(ctx context.Context, node *corev1.Node, mark string) error {
	annotations := map[string]any{v1alpha1.CordonAnnotation: nil, v1alpha1.GrantAnnotation: nil}
	patch := map[string]any{"metadata": map[string]any{"annotations": annotations}}

	// A grant that was left behind is that of no attempt that is known.
	if mark != "" {
		annotations[v1alpha1.RestoredAnnotation] = mark
	}

	if node.Annotations[v1alpha1.CordonAnnotation] != "" {
		patch["spec"] = map[string]any{"unschedulable": nil}
	}

	if err := a.Store.Patch(ctx, node, patch); err != nil {
		return fmt.Errorf("failed to restore node %q: %w", node.Name, err)
	}

	return nil
}

func (a *Applier) grant(ctx context.Context, node *corev1.Node, grant v1alpha1.Grant) error {
	if err := a.Store.Patch(ctx, node, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{v1alpha1.GrantAnnotation: grant.String()}},
	}); err != nil {
		return fmt.Errorf("failed to grant node %q its reboot: %w", node.Name, err)
	}

	return nil
}

// restoreStray restores a node that is in no step, if the API server says so too.
func (a *Applier) restoreStray(ctx context.Context, s *read.Snapshot, name string) error {
	live, err := a.Store.Live(ctx, name)
	if err != nil {
		return fmt.Errorf("failed to read NodeReboot %q: %w", name, err)
	}

	if live != nil && reboot.Phase(live.Status.Phase).Active() {
		return nil
	}

	node := s.Nodes[name]
	a.Logger.Info("restoring a node that is in no step of a reboot", zap.String("node", name))

	return a.restore(ctx, node, node.Annotations[v1alpha1.CordonAnnotation])
}

// grantWish makes a NodeReboot of what the node's agent wants, or asks for the next reboot with the one that there is. What
// a person has asked for the last time does not count again.
func (a *Applier) grantWish(ctx context.Context, s *read.Snapshot, wish reboot.Wish) error {
	labels := map[string]string{v1alpha1.OriginLabel: v1alpha1.OriginNode}

	if wish.UID == "" {
		if err := a.Store.Create(ctx, &v1alpha1.NodeReboot{
			ObjectMeta: metav1.ObjectMeta{
				Name: wish.Node, Labels: labels,
				// It goes with the Node: one that registers later under the same name has wishes of its own.
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "v1", Kind: "Node", Name: wish.Node, UID: s.Nodes[wish.Node].UID,
				}},
			},
			Spec: v1alpha1.NodeRebootSpec{Reason: wish.Reason},
		}); err != nil {
			return fmt.Errorf("failed to create NodeReboot %q: %w", wish.Node, err)
		}

		return nil
	}

	if err := a.Store.Patch(ctx, s.Reboots[wish.Node], map[string]any{
		"metadata": map[string]any{"labels": labels},
		"spec": map[string]any{
			"reason": wish.Reason, "requestedAt": metav1.NewTime(wish.At), "priority": nil, "notBefore": nil, "force": nil,
		},
	}); err != nil {
		return fmt.Errorf("failed to ask for the next reboot with NodeReboot %q: %w", wish.Node, err)
	}

	return nil
}

// otherControlPlanes are the addresses of those that run Talos; none if the node is no control plane.
func otherControlPlanes(s *read.Snapshot, name string) []string {
	if !s.Facts.Nodes[name].ControlPlane {
		return nil
	}

	var found []string

	for other, node := range s.Facts.Nodes {
		if other != name && node.ControlPlane && node.Talos {
			found = append(found, address(s.Nodes[other]))
		}
	}

	return found
}

// address is where the Talos API of a node is.
func address(node *corev1.Node) string {
	for _, found := range node.Status.Addresses {
		if found.Type == corev1.NodeInternalIP {
			return found.Address
		}
	}

	return ""
}

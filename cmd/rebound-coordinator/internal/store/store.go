// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package store reads and writes the objects that the coordinator changes: the RebootBudget, NodeReboots and Nodes.
//
// Reads come from a cache that lags behind. What this process has written itself is read back as it was written until the
// cache has it, so that no decision rests on an object that the one before it has already changed. What others write shows
// in the cache; until then a write fails, because every one of them is conditional on the resource version that was read.
package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// writeTimeout bounds a write. Admission webhooks have 10 s unless they are configured otherwise.
const writeTimeout = 15 * time.Second

// Store reads and writes. It may be used concurrently.
type Store struct {
	// client reads from the cache and writes to the API server, live reads from the API server.
	client client.Client
	live   client.Reader

	mu      sync.Mutex
	written map[types.UID]client.Object
}

// New makes a Store.
func New(cached client.Client, live client.Reader) *Store {
	return &Store{client: cached, live: live, written: map[types.UID]client.Object{}}
}

// Budget returns the RebootBudget, or nil if there is none. It must not be changed, as nothing that is read here.
func (s *Store) Budget(ctx context.Context) (*v1alpha1.RebootBudget, error) {
	var list v1alpha1.RebootBudgetList

	if err := s.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}

	for i := range list.Items {
		if list.Items[i].Name == v1alpha1.RebootBudgetName {
			return newest(s, &list.Items[i]), nil
		}
	}

	return nil, nil
}

// Reboots returns the NodeReboots.
func (s *Store) Reboots(ctx context.Context) ([]*v1alpha1.NodeReboot, error) {
	var list v1alpha1.NodeRebootList

	if err := s.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}

	reboots := make([]*v1alpha1.NodeReboot, len(list.Items))
	for i := range list.Items {
		reboots[i] = newest(s, &list.Items[i])
	}

	return reboots, nil
}

// Nodes returns the Nodes.
func (s *Store) Nodes(ctx context.Context) ([]*corev1.Node, error) {
	var list corev1.NodeList

	if err := s.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}

	nodes := make([]*corev1.Node, len(list.Items))
	for i := range list.Items {
		nodes[i] = newest(s, &list.Items[i])
	}

	return nodes, nil
}

// newest returns the object, or as what this process has written it since.
func newest[T client.Object](s *Store, cached T) T {
	s.mu.Lock()
	defer s.mu.Unlock()

	written, ok := s.written[cached.GetUID()].(T)
	if !ok {
		return cached
	}

	// Versions that cannot be compared are those of no API server that there is.
	if order, err := resourceversion.CompareResourceVersion(written.GetResourceVersion(), cached.GetResourceVersion()); err == nil && order > 0 {
		return written
	}

	delete(s.written, cached.GetUID())

	return cached
}

// remember keeps an object as it was written.
func (s *Store) remember(object client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.written[object.GetUID()] = object
}

// Forget drops what was written to objects that no longer exist.
func (s *Store) Forget(exists func(types.UID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for uid := range s.written {
		if !exists(uid) {
			delete(s.written, uid)
		}
	}
}

// Live reads a NodeReboot from the API server itself. It is nil if there is none.
func (s *Store) Live(ctx context.Context, name string) (*v1alpha1.NodeReboot, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	var object v1alpha1.NodeReboot

	if err := s.live.Get(ctx, client.ObjectKey{Name: name}, &object); err != nil {
		return nil, client.IgnoreNotFound(err)
	}

	return &object, nil
}

// WriteStatus writes the status of an object if it is still as it was read.
func (s *Store) WriteStatus(ctx context.Context, object client.Object) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	if err := s.client.Status().Update(ctx, object); err != nil {
		return err
	}

	s.remember(object)

	return nil
}

// Patch changes an object by a JSON merge patch, if it is still as it was read. A field that is nil is removed.
func (s *Store) Patch(ctx context.Context, object client.Object, patch map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}

	metadata["uid"], metadata["resourceVersion"] = object.GetUID(), object.GetResourceVersion()

	text, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("failed to encode the patch of %q: %w", object.GetName(), err)
	}

	changed, _ := object.DeepCopyObject().(client.Object)

	if err = s.client.Patch(ctx, changed, client.RawPatch(types.MergePatchType, text)); err != nil {
		return err
	}

	s.remember(changed)

	return nil
}

// Create makes a NodeReboot. One that is there already is no error.
func (s *Store) Create(ctx context.Context, object *v1alpha1.NodeReboot) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	if err := s.client.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}

	return nil
}

// Delete deletes a NodeReboot if it is still as it was read.
func (s *Store) Delete(ctx context.Context, object *v1alpha1.NodeReboot) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	return client.IgnoreNotFound(s.client.Delete(ctx, object, client.Preconditions{
		UID: &object.UID, ResourceVersion: &object.ResourceVersion,
	}))
}

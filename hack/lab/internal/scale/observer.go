// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// pod is what it takes to delete one, and no other.
type pod struct {
	name string
	uid  types.UID
}

// place is where a DaemonSet wants a pod.
type place struct{ node, daemonSet string }

// observer watches all pods, and takes the times. It has one watch for all of them
// and no part in what it sees.
type observer struct {
	daemonSets int

	mu     sync.Mutex
	ready  map[place]pod
	failed map[place]pod
	// everFailed are the names of all pods that were ever Failed.
	everFailed map[string]bool
	// whole is when the last pod of a node was seen to be Ready.
	whole   map[string]time.Time
	changed chan struct{}
}

func newObserver(daemonSets int) *observer {
	return &observer{
		daemonSets: daemonSets, ready: map[place]pod{}, failed: map[place]pod{},
		everFailed: map[string]bool{}, whole: map[string]time.Time{}, changed: make(chan struct{}),
	}
}

// run watches until ctx is done.
func (o *observer) run(ctx context.Context, client rest.Interface) {
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client, "pods", metav1.NamespaceAll, fields.Everything()),
		ObjectType:    &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { o.see(object, false) },
			UpdateFunc: func(_, object any) { o.see(object, false) },
			DeleteFunc: func(object any) { o.see(object, true) },
		},
	})

	informer.RunWithContext(logr.NewContext(ctx, logr.Discard()))
}

func (o *observer) see(object any, deleted bool) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}

	seen, ok := object.(*corev1.Pod)
	if !ok {
		return
	}

	owner := metav1.GetControllerOfNoCopy(seen)
	if owner == nil || seen.Spec.NodeName == "" {
		return
	}

	at := place{seen.Spec.NodeName, owner.Name}
	this := pod{seen.Name, seen.UID}
	failed := seen.Status.Phase == corev1.PodFailed

	o.mu.Lock()
	defer o.mu.Unlock()

	if failed {
		o.everFailed[this.name] = true
	}

	note(o.ready, at, this, !deleted && isReady(seen))
	note(o.failed, at, this, !deleted && failed && seen.DeletionTimestamp == nil)

	if _, was := o.whole[at.node]; !was && o.isWhole(at.node) {
		o.whole[at.node] = time.Now()
	}

	close(o.changed)
	o.changed = make(chan struct{})
}

// note enters that there is a pod at a place, or that it is this one no longer.
func note(pods map[place]pod, at place, this pod, is bool) {
	if is {
		pods[at] = this
	} else if pods[at] == this {
		delete(pods, at)
	}
}

// isWhole says whether every DaemonSet has a Ready pod on the node.
func (o *observer) isWhole(node string) bool {
	for i := range o.daemonSets {
		if _, ok := o.ready[place{node, daemonSetName(i)}]; !ok {
			return false
		}
	}

	return true
}

// begin forgets when nodes were whole.
func (o *observer) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()

	clear(o.whole)
}

// wasFailed says whether a pod of that name was ever Failed.
func (o *observer) wasFailed(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.everFailed[name]
}

// times returns when nodes were whole since the last begin.
func (o *observer) times() map[string]time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()

	return maps.Clone(o.whole)
}

// await waits until so many nodes are whole.
func (o *observer) await(ctx context.Context, nodes int) error {
	for {
		o.mu.Lock()
		whole, changed := len(o.whole), o.changed
		o.mu.Unlock()

		if whole >= nodes {
			return nil
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes were whole: %w", whole, nodes, context.Cause(ctx))
		case <-changed:
		}
	}
}

// failedPods returns the pods that are Failed.
func (o *observer) failedPods() map[place]pod {
	o.mu.Lock()
	defer o.mu.Unlock()

	return maps.Clone(o.failed)
}

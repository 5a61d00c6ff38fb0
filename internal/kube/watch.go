// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// WatchPods calls changed with all pods of the node, first when they have been listed and then after every change, from
// one goroutine at a time. Changes in quick succession may come as one.
//
// It returns when ctx ends, with nil, or when a request fails, with the reason. It does not retry: to be told nothing
// must never look like nothing happens, and the identity may have to be read anew. When it returns, all it started has
// ended.
func (c *Client) WatchPods(ctx context.Context, node string, changed func([]recovery.Pod)) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	notify := make(chan struct{}, 1)
	wake := func() {
		select {
		case notify <- struct{}{}:
		default:
		}
	}

	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.podsOf(node, fail),
		ObjectType:    &corev1.Pod{},
		Transform:     trim,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { wake() },
			UpdateFunc: func(any, any) { wake() },
			DeleteFunc: func(any) { wake() },
		},
	})

	stopped := make(chan struct{})

	go func() {
		defer close(stopped)

		informer.RunWithContext(ctx)
	}()

	defer func() {
		fail(nil)
		<-stopped
	}()

	select {
	case <-ctx.Done():
		return failure(ctx, node)
	case <-informer.HasSyncedChecker().Done():
	}

	for {
		changed(podsIn(store))

		select {
		case <-ctx.Done():
			return failure(ctx, node)
		case <-notify:
		}
	}
}

// failure is why the watch ended: nil if its caller wanted it to.
func failure(ctx context.Context, node string) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("failed to watch the pods of node %q: %w", node, cause)
	}

	return nil
}

// podsOf lists and watches the pods of one node, and reports the first request that fails.
func (c *Client) podsOf(node string, fail func(error)) *cache.ListWatch {
	selector := fields.OneTermEqualSelector("spec.nodeName", node).String()
	pods := c.core.Pods(metav1.NamespaceAll)

	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector

			list, err := pods.List(ctx, options)
			if err != nil && !isRecoverable(ctx, err, options) {
				fail(err)
			}

			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector

			watcher, err := pods.Watch(ctx, options)
			if err != nil && !isRecoverable(ctx, err, options) {
				fail(err)
			}

			return watcher, err
		},
	}
}

// isRecoverable is true for the errors that client-go's reflector answers with another request at once: a resource
// version that is too old or too new, and an API server that cannot stream the list (before Kubernetes 1.34 it may not).
func isRecoverable(ctx context.Context, err error, options metav1.ListOptions) bool {
	switch {
	case ctx.Err() != nil:
		return true
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err), apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge):
		return true
	default:
		return options.SendInitialEvents != nil && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err))
	}
}

func podsIn(store cache.Store) []recovery.Pod {
	objects := store.List()
	pods := make([]recovery.Pod, 0, len(objects))

	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, factsOf(pod))
		}
	}

	return pods
}

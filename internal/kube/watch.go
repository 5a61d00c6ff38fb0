// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// WatchPods calls changed with all pods of the node, in no particular order, first when they have been listed and then
// after every change, from one goroutine at a time. Changes in quick succession may come as one.
//
// It returns nil when ctx ends, and the reason when a request fails. It does not retry: a watch that is broken must not
// look like one without news, and the identity may have to be read anew. All that it started has ended when it returns.
func (c *Client) WatchPods(ctx context.Context, node string, changed func([]recovery.Pod)) error {
	watching, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	late := time.AfterFunc(c.syncTimeout, func() { fail(fmt.Errorf("the API server has not listed them all within %s", c.syncTimeout)) })
	defer late.Stop()

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
		Transform:     guarded(c.transform, fail),
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { wake() },
			UpdateFunc: func(any, any) { wake() },
			DeleteFunc: func(any) { wake() },
		},
	})

	stopped := make(chan struct{})

	go func() {
		defer close(stopped)

		// What client-go would log is what this returns.
		informer.RunWithContext(logr.NewContext(watching, logr.Discard()))
	}()

	defer func() {
		fail(nil)
		<-stopped
	}()

	select {
	case <-watching.Done():
		return failure(ctx, watching, node)
	case <-informer.HasSyncedChecker().Done():
		late.Stop()
	}

	for {
		changed(podsIn(store))

		select {
		case <-watching.Done():
			return failure(ctx, watching, node)
		case <-notify:
		}
	}
}

// failure is why the watch ended; nil if its caller ended it. Only ctx tells that: to errors.Is, a time-out of the net
// package is the end of a context too.
func failure(ctx, watching context.Context, node string) error {
	if ctx.Err() == nil {
		return fmt.Errorf("failed to watch the pods of node %q: %w", node, context.Cause(watching))
	}

	return nil
}

// podsOf lists and watches the pods of one node, and reports the first request that fails.
func (c *Client) podsOf(node string, fail func(error)) *cache.ListWatch {
	selector := fields.OneTermEqualSelector("spec.nodeName", node).String()
	pods := c.core.Pods(metav1.NamespaceAll)

	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (list runtime.Object, err error) {
			defer recoverTo(&err, fail)

			options.FieldSelector = selector

			list, err = pods.List(withWitness(ctx, fail), options)

			return list, judge(ctx, err, options, fail)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watcher watch.Interface, err error) {
			defer recoverTo(&err, fail)

			options.FieldSelector = selector

			watcher, err = pods.Watch(withWitness(ctx, fail), options)

			return watcher, judge(ctx, err, options, fail)
		},
	}
}

// guarded survives a panic in transform, which client-go calls.
func guarded(transform cache.TransformFunc, fail func(error)) cache.TransformFunc {
	return func(object any) (result any, err error) {
		defer recoverTo(&err, fail)

		return transform(object)
	}
}

// recoverTo turns a panic into the end of the watch. It is for what client-go calls in goroutines of its own, which would
// pass it on to the whole process.
func recoverTo(err *error, fail func(error)) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
		fail(*err)
	}
}

// judge reports an error that ends the watch, and returns what to tell client-go. That is not the error itself: client-go
// sleeps on some of them, even when the context has ended.
func judge(ctx context.Context, err error, options metav1.ListOptions, fail func(error)) error {
	if err == nil || isRecoverable(err, options) {
		return err
	}

	fail(err)

	return ctx.Err()
}

// isRecoverable is true for the errors that client-go's reflector answers with another request at once: a resource
// version that is too old or too new, and an API server that cannot stream the list (before Kubernetes 1.34 it may not).
func isRecoverable(err error, options metav1.ListOptions) bool {
	switch {
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err), apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge):
		return true
	default:
		return options.SendInitialEvents != nil && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err))
	}
}

// witness is a transport that reports its errors to the context of the request, if that asks for it, before client-go
// sees them. client-go takes a connection that is closed or not made in time for the end of a watch and tries again, for
// ever and without a word. This is what a load balancer without a server behind it looks like, such as Talos' KubePrism.
type witness struct{ http.RoundTripper }

type witnessKey struct{}

func withWitness(ctx context.Context, report func(error)) context.Context {
	return context.WithValue(ctx, witnessKey{}, report)
}

// RoundTrip implements http.RoundTripper.
func (w witness) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(request)
	if err != nil {
		if report, ok := request.Context().Value(witnessKey{}).(func(error)); ok {
			report(err)
		}
	}

	return response, err
}

func podsIn(store cache.Store) []recovery.Pod {
	objects := store.List()
	pods := make([]recovery.Pod, 0, len(objects))

	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, PodFacts(pod))
		}
	}

	return pods
}

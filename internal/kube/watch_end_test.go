// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

func TestWatchPodsReturnsWhyARequestFailed(t *testing.T) {
	t.Parallel()

	forbidden := apierrors.NewForbidden(pods, "", errors.New("not yours"))

	// nothing else is refused by a server that cannot stream lists.
	old := func(refused ask, err *apierrors.StatusError) func(ask, int) *apierrors.StatusError {
		return func(kind ask, nth int) *apierrors.StatusError {
			if kind == refused {
				return err
			}

			return oldServer(kind, nth)
		}
	}

	for _, tc := range []struct {
		name    string
		refusal func(kind ask, nth int) *apierrors.StatusError
		is      func(error) bool
		last    ask
	}{
		{"when the stream is forbidden", old(askStream, forbidden), kube.IsRefused, askStream},
		{"when the list is forbidden", old(askList, forbidden), kube.IsRefused, askList},
		{"when the watch is forbidden", old(askWatch, forbidden), kube.IsRefused, askWatch},
		{
			"when the certificate is not accepted",
			old(askStream, apierrors.NewUnauthorized("Unauthorized")), kube.IsIdentity, askStream,
		},
		{
			"when the list is invalid",
			old(askList, apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "", nil)), kube.IsRefused, askList,
		},
		{
			"when there are too many requests",
			old(askStream, apierrors.NewTooManyRequests("later", 1)), apierrors.IsTooManyRequests, askStream,
		},
		{
			"when the server is broken",
			old(askWatch, apierrors.NewInternalError(errors.New("etcd"))), apierrors.IsInternalError, askWatch,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI(named("a"))
			a.refusal = tc.refusal

			err := watchPods(t, serve(t, a.ServeHTTP).open(t)).end(t)

			require.ErrorContains(t, err, `failed to watch the pods of node "worker-1": `)
			assert.True(t, tc.is(err), "%v", err)

			asked, _ := a.requests()
			assert.Equal(t, 1, countOf(asked, tc.last), "%v", asked)
		})
	}
}

func TestWatchPodsReturnsThatTheServerIsAway(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		leave func(*server)
		want  []string
	}{
		{"when connections are refused", (*server).stop, []string{"connection refused"}},
		{
			"when connections are closed, as by a load balancer without a server",
			(*server).lose,
			[]string{"EOF", "connection reset by peer"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			t.Run("from the beginning", func(t *testing.T) {
				t.Parallel()

				s := serve(t, newAPI().ServeHTTP)
				tc.leave(s)

				assertAway(t, watchPods(t, s.open(t)).end(t), tc.want)
			})

			t.Run("after the pods were listed", func(t *testing.T) {
				t.Parallel()

				a := newAPI(named("a"))
				s := serve(t, a.ServeHTTP)
				w := watchPods(t, s.open(t))
				w.await(t, "a Running")

				// A watch that ends at once is not begun again at once.
				a.change(t, watch.Added, named("b"))
				w.await(t, "a Running", "b Running")

				tc.leave(s)

				assertAway(t, w.end(t), tc.want)
			})
		})
	}
}

func assertAway(t *testing.T, err error, want []string) {
	t.Helper()

	require.ErrorContains(t, err, `failed to watch the pods of node "worker-1": `)
	assert.False(t, kube.IsIdentity(err))
	assert.True(t, slices.ContainsFunc(want, func(text string) bool { return strings.HasSuffix(err.Error(), text) }), "%v", err)
}

// Time-outs of the net and net/http packages pass for the end of a context.
func TestWatchPodsReturnsThatTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		hang  ask
		edits []func(*server)
	}{
		{"to the stream", askStream, nil},
		{"to the stream over HTTP/1.1", askStream, []func(*server){http1}},
		{"to the list", askList, nil},
		{"to the list over HTTP/1.1", askList, []func(*server){http1}},
		{"to the watch", askWatch, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI(named("a"))
			a.hang = func(kind ask, _ int) bool { return kind == tc.hang }
			a.refusal = oldServer

			client := serve(t, a.ServeHTTP, tc.edits...).open(t)
			client.SetRequestTimeout(200 * time.Millisecond)

			assert.ErrorContains(t, watchPods(t, client).end(t), "timeout awaiting response headers")
		})
	}
}

func TestWatchPodsSurvivesAPanic(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		panic func(*testing.T, *kube.Client, *api)
		want  string
	}{
		{"in the stream", panicAt(askStream), string(askStream)},
		{"in the list", panicAt(askList), string(askList)},
		{"in the watch", panicAt(askWatch), string(askWatch)},
		{"in the transform", func(_ *testing.T, client *kube.Client, _ *api) {
			client.SetTransform(func(any) (any, error) { panic("transform") })
		}, "transform"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI(named("a"))
			a.refusal = oldServer

			client := serve(t, a.ServeHTTP).open(t)
			tc.panic(t, client, a)

			assert.ErrorContains(t, watchPods(t, client).end(t), "panic: "+tc.want)
		})
	}
}

// panicAt makes requests of a kind panic, in whatever goroutine they are made.
func panicAt(kind ask) func(*testing.T, *kube.Client, *api) {
	return func(t *testing.T, client *kube.Client, a *api) {
		t.Helper()
		require.NoError(t, client.SetTransport(panicking{direct: direct{a}, at: kind}))
	}
}

type panicking struct {
	direct

	at ask
}

func (p panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if kindOf(r) == p.at {
		panic(p.at)
	}

	return p.direct.RoundTrip(r)
}

func TestWatchPodsFailsIfTheListNeverEnds(t *testing.T) {
	t.Parallel()

	a := newAPI(named("a"))
	a.endless = true

	client := serve(t, a.ServeHTTP).open(t)
	client.SetSyncTimeout(200 * time.Millisecond)

	assert.ErrorContains(t, watchPods(t, client).end(t), "has not listed them all within 200ms")
}

func TestWatchPodsLastsLongerThanTheListMay(t *testing.T) {
	t.Parallel()

	path := serve(t, succeeding).kubeconfig(t)

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(named("a"))
		client := open(t, path)
		require.NoError(t, client.SetTransport(direct{a}))

		w := watchPods(t, client)
		w.await(t, "a Running")
		time.Sleep(time.Hour)
		a.change(t, watch.Added, named("b"))
		w.await(t, "a Running", "b Running")

		w.cancel()
		require.NoError(t, w.end(t))
	})
}

func TestWatchPodsEndsWithItsContext(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		hang ask
	}{
		{"before the stream is answered", askStream},
		{"before the list is answered", askList},
		{"before the watch is answered", askWatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI(named("a"))
			a.hang = func(kind ask, _ int) bool { return kind == tc.hang }
			a.refusal = oldServer

			w := watchPods(t, serve(t, a.ServeHTTP).open(t))
			a.await(t, tc.hang, 1)
			w.cancel()

			assert.NoError(t, w.end(t))
		})
	}

	t.Run("when that has ended before", func(t *testing.T) {
		t.Parallel()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		assert.NoError(t, serve(t, newAPI().ServeHTTP).open(t).WatchPods(ctx, node, func([]recovery.Pod) {}))
	})

	t.Run("when that has a deadline", func(t *testing.T) {
		t.Parallel()

		a := newAPI()
		a.hang = func(ask, int) bool { return true }

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()

		assert.NoError(t, serve(t, a.ServeHTTP).open(t).WatchPods(ctx, node, func([]recovery.Pod) {}))
	})
}

// It is not parallel, so that all that is counted is its own.
func TestWatchesThatEndedLeaveNothingBehind(t *testing.T) {
	a := newAPI(named("a"))
	s := serve(t, a.ServeHTTP)
	path := s.kubeconfig(t)
	before := goleak.IgnoreCurrent()

	for range 10 {
		client, err := kube.Open(path)
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(t.Context())

		require.NoError(t, client.WatchPods(ctx, node, func([]recovery.Pod) { cancel() }))
		client.Close()
	}

	s.stop()
	goleak.VerifyNone(t, before)
}

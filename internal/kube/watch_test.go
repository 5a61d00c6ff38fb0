// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

// watched is a WatchPods under way.
type watched struct {
	updates chan []recovery.Pod
	ended   chan error
	cancel  context.CancelFunc
}

func watchPods(t *testing.T, client *kube.Client) *watched {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{updates: make(chan []recovery.Pod), ended: make(chan error, 1), cancel: cancel}

	go func() {
		w.ended <- client.WatchPods(ctx, node, func(pods []recovery.Pod) {
			select {
			case w.updates <- pods:
			case <-ctx.Done():
			}
		})
	}()

	t.Cleanup(cancel)

	return w
}

// await returns once the pods are those that are wanted.
func (w *watched) await(t *testing.T, want ...string) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var got []string

	for {
		select {
		case pods := <-w.updates:
			if got = inShort(pods); slices.Equal(got, want) {
				return
			}
		case err := <-w.ended:
			require.FailNow(t, "the watch ended", "%v", err)
		case <-ctx.Done():
			require.FailNow(t, "the pods never were those that are wanted", "want %q, last %q", want, got)
		}
	}
}

// end returns why the watch ended; it may tell of pods before.
func (w *watched) end(t *testing.T) error {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	for {
		select {
		case <-w.updates:
		case err := <-w.ended:
			return err
		case <-ctx.Done():
			require.FailNow(t, "the watch did not end")
		}
	}
}

func inShort(pods []recovery.Pod) []string {
	short := make([]string, 0, len(pods))
	for _, p := range pods {
		short = append(short, p.Name+" "+p.Summary)
	}

	slices.Sort(short)

	return short
}

func TestWatchPodsTellsOfAllPodsAndEveryChange(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name    string
		refusal func(ask, int) *apierrors.StatusError
		asks    []ask
		edits   []func(*server)
	}{
		{"of a server that streams lists", nil, []ask{askStream}, nil},
		{"of a server that does not", oldServer, []ask{askStream, askList, askWatch}, nil},
		{"of a server that speaks HTTP/1.1", nil, []ask{askStream}, []func(*server){http1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI(named("a"), named("b", pending))
			if tc.refusal != nil {
				a.refusal = tc.refusal
			}

			w := watchPods(t, serve(t, a.ServeHTTP, tc.edits...).open(t))

			assert.Equal(t, []string{"a Running", "b Pending"}, inShort(receive(t, w.updates, "the first update")))

			a.change(t, watch.Added, named("c"))
			w.await(t, "a Running", "b Pending", "c Running")

			a.change(t, watch.Modified, named("b"))
			w.await(t, "a Running", "b Running", "c Running")

			a.change(t, watch.Deleted, named("a"))
			w.await(t, "b Running", "c Running")

			w.cancel()
			require.NoError(t, w.end(t))

			asked, queries := a.requests()
			assert.Equal(t, tc.asks, asked)

			for _, query := range queries {
				assert.Equal(t, "spec.nodeName="+node, query.Get("fieldSelector"))
			}
		})
	}
}

func TestWatchPodsTellsOfANodeWithoutPods(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name    string
		refusal func(ask, int) *apierrors.StatusError
	}{
		{"on a server that streams lists", newAPI().refusal},
		{"on a server that does not", oldServer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI()
			a.refusal = tc.refusal

			assert.Empty(t, receive(t, watchPods(t, serve(t, a.ServeHTTP).open(t)).updates, "the first update"))
		})
	}
}

func TestWatchPodsGoesOnWhenAWatchEnds(t *testing.T) {
	t.Parallel()

	expired := apierrors.NewResourceExpired("too old resource version: 100 (200)")

	for _, tc := range []struct {
		name    string
		refusal func(kind ask, nth int) *apierrors.StatusError
		news    []news
		// asks are what it takes to see what happened meanwhile.
		asks []ask
	}{
		{
			name: "as it has lasted long enough",
			news: []news{{watch.Bookmark, named("")}, {}},
			asks: []ask{askStream, askWatch},
		},
		{
			name: "because its version has become too old",
			news: []news{{watch.Error, &expired.ErrStatus}},
			asks: []ask{askStream, askStream},
		},
		{
			name: "and its version is too old to begin another",
			refusal: func(kind ask, _ int) *apierrors.StatusError {
				if kind == askWatch {
					return expired
				}

				return nil
			},
			news: []news{{watch.Bookmark, named("")}, {}},
			asks: []ask{askStream, askWatch, askStream},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			a := newAPI(named("a"))
			if tc.refusal != nil {
				a.refusal = tc.refusal
			}

			w := watchPods(t, serve(t, a.ServeHTTP).open(t))
			w.await(t, "a Running")

			for _, n := range tc.news {
				if n.kind == watch.Bookmark {
					n.object = a.keep(watch.Deleted, named(""))
				}

				a.tell(t, n)
			}

			a.change(t, watch.Added, named("b"))
			w.await(t, "a Running", "b Running")

			asked, _ := a.requests()
			assert.Equal(t, tc.asks, asked)
		})
	}
}

func TestWatchPodsListsAnewWhenTheVersionOfAListIsTooOld(t *testing.T) {
	t.Parallel()

	a := newAPI(named("a"))
	a.refusal = func(kind ask, nth int) *apierrors.StatusError {
		if nth == 1 {
			return apierrors.NewResourceExpired("too old resource version")
		}

		return oldServer(kind, nth)
	}

	watchPods(t, serve(t, a.ServeHTTP).open(t)).await(t, "a Running")
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

// ask is a kind of request that a watch makes.
type ask string

const (
	askList   ask = "list"
	askStream ask = "list as a stream, then watch"
	askWatch  ask = "watch"
)

// api serves the pods of a node.
type api struct {
	// refusal is the error to answer the nth request of a kind with, from 1 on.
	refusal func(kind ask, nth int) *apierrors.StatusError
	// hang, if set, makes the nth request of a kind wait for its end.
	hang func(kind ask, nth int) bool
	// endless makes a stream of the list go without the bookmark that ends it.
	endless bool
	// news are sent by the one watch that is open.
	news chan news

	mu      sync.Mutex
	pods    map[string]*corev1.Pod
	version int
	asked   []ask
	queries []url.Values
	// arrived is closed and replaced with every request.
	arrived chan struct{}
}

// news is what a watch is told. Without a kind it ends the watch.
type news struct {
	kind   watch.EventType
	object runtime.Object
}

func newAPI(pods ...*corev1.Pod) *api {
	a := &api{
		refusal: func(ask, int) *apierrors.StatusError { return nil },
		hang:    func(ask, int) bool { return false },
		news:    make(chan news),
		pods:    map[string]*corev1.Pod{},
		version: 100,
		arrived: make(chan struct{}),
	}

	for _, p := range pods {
		a.keep(watch.Added, p)
	}

	return a
}

// oldServer is an API server that cannot stream lists.
func oldServer(kind ask, _ int) *apierrors.StatusError {
	if kind != askStream {
		return nil
	}

	return apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: "ListOptions"}, "", nil)
}

func (a *api) keep(kind watch.EventType, p *corev1.Pod) *corev1.Pod {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.version++
	p.ResourceVersion = strconv.Itoa(a.version)
	a.pods[p.Name] = p

	if kind == watch.Deleted {
		delete(a.pods, p.Name)
	}

	return p
}

// change changes a pod and tells the watch.
func (a *api) change(t *testing.T, kind watch.EventType, p *corev1.Pod) {
	t.Helper()

	a.tell(t, news{kind, a.keep(kind, p)})
}

// tell returns once a watch has taken the news.
func (a *api) tell(t *testing.T, n news) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	select {
	case a.news <- n:
	case <-ctx.Done():
		require.FailNow(t, "no watch is open")
	}
}

// await returns once a kind of request has come n times.
func (a *api) await(t *testing.T, kind ask, n int) {
	t.Helper()

	for {
		a.mu.Lock()
		arrived, count := a.arrived, countOf(a.asked, kind)
		a.mu.Unlock()

		if count >= n {
			return
		}

		receive(t, arrived, fmt.Sprintf("request to %s", kind))
	}
}

func (a *api) requests() ([]ask, []url.Values) {
	a.mu.Lock()
	defer a.mu.Unlock()

	return slices.Clone(a.asked), slices.Clone(a.queries)
}

func countOf(asked []ask, kind ask) int {
	return len(slices.DeleteFunc(slices.Clone(asked), func(other ask) bool { return other != kind }))
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()

	kind := askList
	if query.Get("watch") == "true" {
		kind = askWatch
	}

	if query.Get("sendInitialEvents") == "true" {
		kind = askStream
	}

	a.mu.Lock()
	a.asked, a.queries = append(a.asked, kind), append(a.queries, query)
	nth := countOf(a.asked, kind)
	close(a.arrived)
	a.arrived = make(chan struct{})

	list := &corev1.PodList{}
	list.ResourceVersion = strconv.Itoa(a.version)

	for _, p := range a.pods {
		list.Items = append(list.Items, *p)
	}
	a.mu.Unlock()

	if a.hang(kind, nth) {
		<-r.Context().Done()

		return
	}

	if err := a.refusal(kind, nth); err != nil {
		refuse(w, err)

		return
	}

	if kind == askList {
		answer(w, http.StatusOK, list)

		return
	}

	send := stream(w)

	if kind == askStream && !a.endless {
		for i := range list.Items {
			send(news{watch.Added, &list.Items[i]})
		}

		end := &corev1.Pod{}
		end.ResourceVersion = list.ResourceVersion
		end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		send(news{watch.Bookmark, end})
	}

	for {
		select {
		case <-r.Context().Done():
			return
		case n := <-a.news:
			if n.kind == "" {
				return
			}

			send(n)

			if n.kind == watch.Error {
				return
			}
		}
	}
}

// stream begins the answer to a watch.
func stream(w http.ResponseWriter) func(news) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	version := schema.GroupVersion{Version: "v1"}
	objects := scheme.Codecs.EncoderForVersion(info.Serializer, version)
	events := streaming.NewEncoder(info.StreamSerializer.NewFrameWriter(w),
		scheme.Codecs.EncoderForVersion(info.StreamSerializer.Serializer, version))
	controller := http.NewResponseController(w)

	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	w.WriteHeader(http.StatusOK)
	controller.Flush() //nolint:errcheck // the client may have gone

	return func(n news) {
		raw, err := runtime.Encode(objects, n.object.DeepCopyObject())
		if err != nil {
			panic(err)
		}

		events.Encode(&metav1.WatchEvent{Type: string(n.kind), Object: runtime.RawExtension{Raw: raw}}) //nolint:errcheck // as above
		controller.Flush()                                                                              //nolint:errcheck // as above
	}
}

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

// panicking is a transport that panics, in whatever goroutine it is called.
type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("in the transport") }

func TestWatchPodsSurvivesAPanicInARequest(t *testing.T) {
	t.Parallel()

	client := serve(t, newAPI().ServeHTTP).open(t)
	require.NoError(t, client.SetTransport(panicking{}))

	assert.ErrorContains(t, watchPods(t, client).end(t), "panic: in the transport")
}

func TestWatchPodsSurvivesAPanicInATransform(t *testing.T) {
	t.Parallel()

	var failure error

	guarded := kube.Guarded(func(any) (any, error) { panic("in the transform") }, func(err error) { failure = err })
	_, err := guarded(named("a"))

	require.ErrorContains(t, err, "panic: in the transform")
	assert.Equal(t, err, failure, "the watch ends")
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

	a := newAPI(named("a"))
	client := serve(t, a.ServeHTTP).open(t)
	client.SetSyncTimeout(2 * time.Second)

	w := watchPods(t, client)
	receive(t, w.updates, "the first update")
	time.Sleep(2200 * time.Millisecond)
	a.change(t, watch.Added, named("b"))
	w.await(t, "a Running", "b Running")
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

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
)

// ask is a kind of request that a watch makes.
type ask string

const (
	askList   ask = "list"
	askStream ask = "list as a stream, then watch"
	askWatch  ask = "watch"
)

func kindOf(r *http.Request) ask {
	switch query := r.URL.Query(); {
	case query.Get("sendInitialEvents") == "true":
		return askStream
	case query.Get("watch") == "true":
		return askWatch
	default:
		return askList
	}
}

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
	kind := kindOf(r)

	a.mu.Lock()
	a.asked, a.queries = append(a.asked, kind), append(a.queries, r.URL.Query())
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

// direct is a transport without a network: it calls the handler, so that a test can run on virtual time.
type direct struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	body, writer := io.Pipe()
	w := &directWriter{PipeWriter: writer, answer: make(chan *http.Response, 1), header: http.Header{}}

	go func() {
		defer writer.Close() //nolint:errcheck // it never fails

		d.ServeHTTP(w, r)
	}()

	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case answer := <-w.answer:
		answer.Body = body

		return answer, nil
	}
}

// directWriter is an http.ResponseWriter.
type directWriter struct {
	*io.PipeWriter

	answer chan *http.Response
	header http.Header
}

func (w *directWriter) Header() http.Header { return w.header }

func (w *directWriter) WriteHeader(code int) {
	w.answer <- &http.Response{StatusCode: code, Header: w.header}
}

// Flush implements http.Flusher; nothing is kept back.
func (*directWriter) Flush() {}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/internal/reboot"
)

// sent is a request that the evictor has sent.
type sent struct {
	verb, pod string
	uid       string
	grace     *int64
}

// evicting is an evictor that works, and the API server that it talks to.
type evicting struct {
	*apply.Evictor
	mu   sync.Mutex
	sent []sent
	news atomic.Int64
	logs *observer.ObservedLogs
	stop func()
}

// withEvictor runs a test with an evictor, on a clock of its own. answer says what comes of the requests.
func withEvictor(t *testing.T, workers int, answer func(ctx context.Context, pod string) error, test func(e *evicting)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		e := &evicting{}

		core, logs := observer.New(zapcore.InfoLevel)
		e.logs = logs

		c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(newScheme(t)).Build(), interceptor.Funcs{
			SubResourceCreate: func(ctx context.Context, _ client.Client, name string, object, sub client.Object, _ ...client.SubResourceCreateOption) error {
				eviction, _ := sub.(*policyv1.Eviction)
				options := eviction.DeleteOptions
				e.add(sent{name, object.GetName(), string(*options.Preconditions.UID), options.GracePeriodSeconds})

				return answer(ctx, object.GetName())
			},
			Delete: func(ctx context.Context, _ client.WithWatch, object client.Object, options ...client.DeleteOption) error {
				var asked client.DeleteOptions

				asked.ApplyOptions(options)
				e.add(sent{"delete", object.GetName(), string(*asked.Preconditions.UID), asked.GracePeriodSeconds})

				return answer(ctx, object.GetName())
			},
		})
		e.Evictor = apply.NewEvictor(c, workers, func() { e.news.Add(1) }, zap.New(core))

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)

		go func() { done <- e.Start(ctx) }()

		e.stop = cancel
		test(e)
		cancel()
		require.NoError(t, <-done)
	})
}

func (e *evicting) add(request sent) {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.sent = append(e.sent, request)
}

func fine(context.Context, string) error { return nil }

func TestAPodIsEvictedIfItIsStillTheOneThatWasSeen(t *testing.T) {
	t.Parallel()

	withEvictor(t, 1, fine, func(e *evicting) {
		action := podAction("p1")
		action.GracePeriodSeconds = new(int64(7))
		e.Submit(action)

		forced := podAction("p2")
		forced.Delete, forced.Forced = true, true
		e.Submit(forced)
		synctest.Wait()

		assert.Equal(t, []sent{{"eviction", "pod-p1", "p1", new(int64(7))}, {"delete", "pod-p2", "p2", nil}}, e.sent)
		assert.Equal(t, reboot.Eviction{Tries: 1, LastAt: time.Now()}, e.Evictions(all)["p1"])
		assert.EqualValues(t, 2, e.news.Load())
		assert.Equal(t, 2, e.logs.FilterMessage("asked a pod to leave").Len())
	})
}

func TestWhatTheAPIServerSaysIsKept(t *testing.T) {
	t.Parallel()

	pods := schema.GroupResource{Resource: "pods"}
	budget := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
	budget.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget web needs 1 healthy pods and has 1 currently",
	}}

	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"it leaves":              {nil, ""},
		"it is gone":             {apierrors.NewNotFound(pods, "pod-p1"), ""},
		"another has its name":   {apierrors.NewConflict(pods, "pod-p1", errors.New("the UID does not match")), ""},
		"a budget is in the way": {budget, "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget web needs 1 healthy pods and has 1 currently (429)"},
		"several budgets are": {
			&apierrors.StatusError{ErrStatus: metav1.Status{
				Code: 500, Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
			}},
			"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support. (500)",
		},
		"the API server cannot be reached": {errors.New("connection refused"), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			withEvictor(t, 1, func(context.Context, string) error { return test.err }, func(e *evicting) {
				for tries := 1; tries <= 2; tries++ {
					e.Submit(podAction("p1"))
					synctest.Wait()
					assert.Equal(t, reboot.Eviction{Tries: tries, LastAt: time.Now(), Message: test.want}, e.Evictions(all)["p1"])
				}

				if test.want != "" {
					assert.Equal(t, 1, e.logs.FilterMessage("a pod cannot leave").Len(), "the same words are logged once")
				}
			})
		})
	}
}

func TestAPodIsActedUponOnceAtATime(t *testing.T) {
	t.Parallel()

	withEvictor(t, 2, func(ctx context.Context, _ string) error { return hang(ctx) }, func(e *evicting) {
		e.Submit(podAction("p1"))
		e.Submit(podAction("p1"))
		synctest.Wait()
		e.Submit(podAction("p1"))
		synctest.Wait()

		assert.Len(t, e.sent, 1)
		assert.True(t, e.Evictions(all)["p1"].InFlight)
	})
}

func TestASlowPodHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()

	slow := func(ctx context.Context, pod string) error {
		if pod == "pod-slow" {
			return hang(ctx)
		}

		return nil
	}

	withEvictor(t, 2, slow, func(e *evicting) {
		e.Submit(podAction("slow"))

		for i := range 10 {
			e.Submit(podAction(fmt.Sprint(i)))
		}

		synctest.Wait()
		assert.Len(t, e.sent, 11)
		assert.EqualValues(t, 10, e.news.Load())

		// The server does not answer at all.
		time.Sleep(time.Minute)
		assert.False(t, e.Evictions(all)["slow"].InFlight)
		assert.Contains(t, e.Evictions(all)["slow"].Message, context.DeadlineExceeded.Error())
	})
}

func TestNoMoreAreEvictedAtATimeThanThereAreWorkers(t *testing.T) {
	t.Parallel()

	withEvictor(t, 3, func(ctx context.Context, _ string) error { return hang(ctx) }, func(e *evicting) {
		for i := range 2000 {
			e.Submit(podAction(fmt.Sprint(i)))
		}

		synctest.Wait()
		assert.Len(t, e.sent, 3)

		inFlight := len(e.Evictions(all))
		assert.LessOrEqual(t, inFlight, 1003, "what finds no place is not remembered, so that it is due again")
		assert.GreaterOrEqual(t, inFlight, 1000)
	})
}

// A node that was given back keeps its pods, whatever was still to be done.
func TestWhatIsNoLongerWantedIsNotBegun(t *testing.T) {
	t.Parallel()

	answers := make(chan error)

	withEvictor(t, 1, func(context.Context, string) error { return <-answers }, func(e *evicting) {
		answers = make(chan error)

		e.Submit(podAction("given-back-1"))
		e.Submit(podAction("given-back-2"))
		e.Submit(podAction("drained"))
		synctest.Wait()
		require.Len(t, e.sent, 1)

		left := e.Evictions(func(uid string) bool { return uid == "drained" })
		assert.NotContains(t, left, "given-back-2")
		assert.True(t, left["given-back-1"].InFlight, "it is known of until it has ended")

		close(answers)
		synctest.Wait()
		require.Len(t, e.sent, 2)
		assert.Equal(t, "pod-drained", e.sent[1].pod)

		left = e.Evictions(func(uid string) bool { return uid == "drained" })
		assert.NotContains(t, left, "given-back-1", "the next attempt begins anew")

		// It is due again in the next attempt.
		e.Submit(podAction("given-back-2"))
		synctest.Wait()
		assert.Len(t, e.sent, 3)
	})
}

func TestNothingIsSentAfterTheEnd(t *testing.T) {
	t.Parallel()

	withEvictor(t, 1, func(ctx context.Context, _ string) error { return hang(ctx) }, func(e *evicting) {
		e.Submit(podAction("p1"))
		e.Submit(podAction("p2"))
		synctest.Wait()
		e.stop()
		synctest.Wait()

		for _, request := range e.sent[1:] {
			t.Errorf("sent %v", request)
		}

		assert.Zero(t, e.logs.Len(), "nobody knows what came of it")
	})
}

// The client of the API server waits by itself if it is told to, which would take a worker for as long.
func TestAnAnswerThatSaysToWaitIsHandedOn(t *testing.T) {
	t.Parallel()

	requests := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method + " " + r.URL.Path

		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Cannot evict pod.","code":429,
			"details":{"causes":[{"message":"The disruption budget web is still being processed by the server."}]}}`)
	}))
	t.Cleanup(server.Close)

	scheme := newScheme(t)
	c, err := client.New(apply.WithoutRetries(&rest.Config{Host: server.URL}), client.Options{
		Scheme: scheme, Mapper: testrestmapper.TestOnlyStaticRESTMapper(scheme),
	})
	require.NoError(t, err)

	news := make(chan struct{}, 100)
	evictor := apply.NewEvictor(c, 1, func() { news <- struct{}{} }, zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)

	go func() { done <- evictor.Start(ctx) }()

	evictor.Submit(podAction("p1"))
	<-news
	assert.Equal(t, "Cannot evict pod. The disruption budget web is still being processed by the server. (429)", evictor.Evictions(all)["p1"].Message)
	assert.Equal(t, "POST /api/v1/namespaces/shop/pods/pod-p1/eviction", <-requests)
	assert.Empty(t, requests)

	cancel()
	require.NoError(t, <-done)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

func TestAnAnswerTakesThePlaceOfTheServers(t *testing.T) {
	for _, test := range []struct {
		name       string
		refusal    *apierrors.StatusError
		is         func(error) bool
		code       int
		retryAfter string
	}{
		{"too many requests", apierrors.NewTooManyRequests("later", 7), apierrors.IsTooManyRequests, http.StatusTooManyRequests, "7"},
		{"an internal error", apierrors.NewInternalError(io.ErrUnexpectedEOF), apierrors.IsInternalError, http.StatusInternalServerError, ""},
		{"service unavailable", apierrors.NewServiceUnavailable("not now"), apierrors.IsServiceUnavailable, http.StatusServiceUnavailable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWire(t)
			w.proxy.Inject(apiproxy.Answer(test.refusal), everything, 1)

			answer := w.do(t, http.MethodGet, "/api/v1/nodes")
			assert.Equal(t, test.code, answer.code)
			assert.Equal(t, test.retryAfter, answer.header.Get("Retry-After"))
			assert.Equal(t, "application/json", answer.header.Get("Content-Type"))

			var status metav1.Status

			require.NoError(t, json.NewDecoder(answer.body).Decode(&status))
			assert.Equal(t, "Status", status.Kind)
			assert.True(t, test.is(&apierrors.StatusError{ErrStatus: status}), "%+v", status)
			assert.Empty(t, w.seen(), "nothing was passed on")

			w.must(t.Context(), http.MethodGet, "/api/v1/nodes", "")
		})
	}
}

func TestAFaultBefallsWhatIsWantedUntilItIsTakenBack(t *testing.T) {
	w := newWire(t)
	injection := w.proxy.Inject(apiproxy.Answer(apierrors.NewServiceUnavailable("")), apiproxy.Writes, 0)

	for range 3 {
		assert.Equal(t, http.StatusServiceUnavailable, w.do(t, http.MethodPatch, "/api/v1/nodes/a").code)
	}

	w.must(t.Context(), http.MethodGet, "/read", "")
	require.NoError(t, injection.AwaitStruck(t.Context(), 3))
	assert.Equal(t, []string{"PATCH /api/v1/nodes/a", "PATCH /api/v1/nodes/a", "PATCH /api/v1/nodes/a"}, injection.Struck())

	injection.TakeBack()
	w.must(t.Context(), http.MethodPatch, "/api/v1/nodes/a", "")
	assert.Len(t, injection.Struck(), 3)
}

func TestTheFaultThatWasInjectedFirstBefallsARequest(t *testing.T) {
	w := newWire(t)
	w.proxy.Inject(apiproxy.Answer(apierrors.NewInternalError(io.EOF)), everything, 1)
	w.proxy.Inject(apiproxy.Answer(apierrors.NewServiceUnavailable("")), everything, 1)

	assert.Equal(t, http.StatusInternalServerError, w.do(t, http.MethodGet, "/").code)
	assert.Equal(t, http.StatusServiceUnavailable, w.do(t, http.MethodGet, "/").code)
	assert.Equal(t, http.StatusOK, w.do(t, http.MethodGet, "/").code)
}

func TestABodyTrickles(t *testing.T) {
	w := newWire(t)
	w.proxy.Inject(apiproxy.SlowBody(10, time.Hour), everything, 1)
	w.proxy.Inject(apiproxy.SlowBody(10, aMoment), everything, 1)

	first := make([]byte, 10)

	_, err := io.ReadFull(w.do(t, http.MethodGet, "/api/v1/nodes").body, first)
	require.NoError(t, err)
	assert.Equal(t, "GET /api/v", string(first), "it does not wait for the rest")

	began := time.Now()

	all, err := io.ReadAll(w.do(t, http.MethodGet, "/api/v1/nodes").body)
	require.NoError(t, err)
	assert.Equal(t, "GET /api/v1/nodes: ", string(all))
	assert.GreaterOrEqual(t, time.Since(began), 2*aMoment, "a pause after each of two parts")
}

func TestABodyThatTricklesEndsWithItsClient(t *testing.T) {
	w := newWire(t)
	w.proxy.Inject(apiproxy.SlowBody(1, time.Hour), everything, 1)

	ctx, cancel := context.WithTimeout(t.Context(), aMoment)
	defer cancel()

	_, err := w.send(ctx, http.MethodGet, "/", "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAWatchEndsInTheMiddleOfAnEvent(t *testing.T) {
	w := newWire(t)
	w.proxy.Inject(apiproxy.Truncate(), everything, 1)
	events := w.watch(t)

	w.events <- `{"type":"ADDED","object":{"kind":"Node"}}`
	assert.Equal(t, `{"type":"ADDED",`, <-events)

	_, open := <-events
	assert.False(t, open, "the watch has ended")

	events = w.watch(t)
	w.events <- "whole, and much longer than that"
	assert.Equal(t, "whole, and much longer than that", <-events)
}

func TestAWatchThatIsTruncatedLooksAsIfItHadEnded(t *testing.T) {
	w := newWire(t)
	w.proxy.Inject(apiproxy.Truncate(), everything, 1)

	answer := w.do(t, http.MethodGet, "/watch")
	w.events <- strings.Repeat("x", 100)

	content, err := io.ReadAll(answer.body)
	require.NoError(t, err)
	assert.Len(t, content, 16)
}

func TestALostAnswerIsThatOfARequestWithItsEffect(t *testing.T) {
	w := newWire(t)
	events := w.watch(t)

	injection := w.proxy.Inject(apiproxy.LoseAnswer(), apiproxy.Writes, 1)

	_, err := w.send(t.Context(), http.MethodPatch, "/api/v1/nodes/a", "cordon")
	require.Error(t, err)
	assert.Equal(t, []string{"GET /watch", "PATCH /api/v1/nodes/a"}, w.seen())
	assert.Equal(t, "cordon", <-w.bodies)
	assert.Len(t, injection.Struck(), 1)

	require.Eventually(t, func() bool {
		select {
		case _, open := <-events:
			return !open
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond, "the connection was that of the watch as well")

	w.must(t.Context(), http.MethodPatch, "/api/v1/nodes/a", "again")
}

func everything(*http.Request) bool { return true }

// answer is what a request was answered with; the body is yet to come.
type answer struct {
	code   int
	header http.Header
	body   io.Reader
}

// do sends a request.
func (w *wire) do(t *testing.T, method, path string) answer {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), method, w.proxy.URL()+path, nil)
	require.NoError(t, err)

	response, err := w.client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() }) //nolint:errcheck // only read from

	return answer{response.StatusCode, response.Header, response.Body}
}

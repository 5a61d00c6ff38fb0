// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// aMoment is long enough for what must not happen to be seen to happen.
const aMoment = 100 * time.Millisecond

func TestEverythingPasses(t *testing.T) {
	w := newWire(t)

	assert.Equal(t, "GET /api/v1/nodes: ", w.must(t.Context(), http.MethodGet, "/api/v1/nodes", ""))
	assert.Equal(t, "PATCH /api/v1/nodes/a: cordon", w.must(t.Context(), http.MethodPatch, "/api/v1/nodes/a", "cordon"))
	assert.Equal(t, "Bearer token", <-w.authorizations)
}

func TestAnEventOfAWatchPassesAtOnce(t *testing.T) {
	w := newWire(t)
	events := w.watch(t)

	w.events <- "one"
	assert.Equal(t, "one", <-events)
	w.events <- "two"
	assert.Equal(t, "two", <-events)
}

func TestLatencyDelaysARequest(t *testing.T) {
	w := newWire(t)
	w.proxy.SetLatency(aMoment)

	began := time.Now()
	w.must(t.Context(), http.MethodGet, "/", "")
	assert.GreaterOrEqual(t, time.Since(began), aMoment)
}

func TestACutBreaksWhatIsOpenAndWhatIsNew(t *testing.T) {
	w := newWire(t)
	events := w.watch(t)

	w.proxy.Cut()

	_, open := <-events
	assert.False(t, open, "the watch has ended")

	_, err := w.send(t.Context(), http.MethodGet, "/", "")
	require.Error(t, err)

	w.proxy.Restore()
	w.must(t.Context(), http.MethodGet, "/", "")
}

func TestAFreezeTellsNobody(t *testing.T) {
	w := newWire(t)
	events := w.watch(t)

	w.proxy.Freeze()
	w.events <- "silent"

	ctx, cancel := context.WithTimeout(t.Context(), aMoment)
	defer cancel()

	_, err := w.send(ctx, http.MethodPatch, "/given-up", "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, events)
	assert.Equal(t, []string{"GET /watch"}, w.seen())

	w.proxy.Thaw()
	assert.Equal(t, "silent", <-events, "the connection is the same")
	w.must(t.Context(), http.MethodGet, "/next", "")
}

func TestAHeldWriteArrivesAfterItsClientIsGone(t *testing.T) {
	w := newWire(t)
	w.proxy.Hold(apiproxy.Writes)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() {
		_, err := w.send(ctx, http.MethodPatch, "/api/v1/nodes/a", "cordon")
		ended <- err
	}()

	require.NoError(t, w.proxy.AwaitHeld(t.Context(), func(held []string) bool { return len(held) == 1 }))
	assert.Equal(t, []string{"PATCH /api/v1/nodes/a"}, w.proxy.Held())

	w.must(t.Context(), http.MethodGet, "/read", "")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	assert.Equal(t, []string{"GET /read"}, w.seen())
	assert.Empty(t, <-w.bodies)

	w.proxy.Release()
	require.Eventually(t, func() bool { return len(w.seen()) == 2 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, "PATCH /api/v1/nodes/a", w.seen()[1])
	assert.Equal(t, "cordon", <-w.bodies)
	assert.Empty(t, w.proxy.Held())
}

func TestClosingDropsWhatIsHeld(t *testing.T) {
	w := newWire(t)
	w.proxy.Hold(apiproxy.Writes)

	ended := make(chan error, 1)

	go func() {
		_, err := w.send(t.Context(), http.MethodPost, "/", "")
		ended <- err
	}()

	require.NoError(t, w.proxy.AwaitHeld(t.Context(), func(held []string) bool { return len(held) == 1 }))
	require.NoError(t, w.proxy.Close())
	require.Error(t, <-ended)
	assert.Empty(t, w.seen())
}

// wire is a client, a server, and the proxy between them.
type wire struct {
	t      *testing.T
	proxy  *apiproxy.Proxy
	client *http.Client

	requests       chan string
	all            []string
	bodies         chan string
	authorizations chan string
	// events go to whoever watches.
	events chan string
}

func newWire(t *testing.T) *wire {
	t.Helper()

	w := &wire{
		t:              t,
		requests:       make(chan string, 10),
		bodies:         make(chan string, 10),
		authorizations: make(chan string, 10),
		events:         make(chan string, 1),
	}

	server := httptest.NewUnstartedServer(w)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	target, err := url.Parse(server.URL)
	require.NoError(t, err)

	roots := stdx509.NewCertPool()
	roots.AddCert(server.Certificate())

	authority, certificate, key := newCertificate(t)

	w.proxy, err = apiproxy.Listen(apiproxy.Config{Server: target, Roots: roots, Certificate: certificate, Key: key})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.proxy.Close()) })

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)

	w.client = &http.Client{Transport: transport}

	return w
}

func newCertificate(t *testing.T) (authority *stdx509.CertPool, certificate, key string) {
	t.Helper()

	ca, err := x509.NewSelfSignedCertificateAuthority()
	require.NoError(t, err)

	pair, err := x509.NewKeyPair(ca, x509.IPAddresses([]net.IP{net.IPv4(127, 0, 0, 1)}),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageServerAuth}))
	require.NoError(t, err)

	certificate, key = filepath.Join(t.TempDir(), "crt"), filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(certificate, pair.CrtPEM, 0o600))
	require.NoError(t, os.WriteFile(key, pair.KeyPEM, 0o600))

	authority = stdx509.NewCertPool()
	authority.AddCert(ca.Crt)

	return authority, certificate, key
}

// ServeHTTP is the server.
func (w *wire) ServeHTTP(rw http.ResponseWriter, request *http.Request) {
	w.requests <- request.Method + " " + request.URL.Path

	if request.URL.Path == "/watch" {
		w.serveWatch(rw, request)

		return
	}

	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}

	w.bodies <- string(body)
	w.authorizations <- request.Header.Get("Authorization")

	io.WriteString(rw, request.Method+" "+request.URL.Path+": "+string(body)) //nolint:errcheck // the client may be gone
}

func (w *wire) serveWatch(rw http.ResponseWriter, request *http.Request) {
	control := http.NewResponseController(rw)

	for {
		if control.Flush() != nil {
			return
		}

		select {
		case event := <-w.events:
			io.WriteString(rw, event+"\n") //nolint:errcheck // as above
		case <-request.Context().Done():
			return
		}
	}
}

func (w *wire) send(ctx context.Context, method, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, w.proxy.URL()+path, strings.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer token")

	response, err := w.client.Do(request)
	if err != nil {
		return "", err
	}

	defer response.Body.Close() //nolint:errcheck // only read from

	answer, err := io.ReadAll(response.Body)

	return string(answer), err
}

func (w *wire) must(ctx context.Context, method, path, body string) string {
	w.t.Helper()

	answer, err := w.send(ctx, method, path, body)
	require.NoError(w.t, err)

	return answer
}

// watch returns what a watch brings, until it ends.
func (w *wire) watch(t *testing.T) <-chan string {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.proxy.URL()+"/watch", nil)
	require.NoError(t, err)

	response, err := w.client.Do(request) //nolint:bodyclose // whoever reads it closes it
	require.NoError(t, err)

	events := make(chan string, 10)
	ended := make(chan struct{})

	t.Cleanup(func() { <-ended })

	go func() {
		defer close(ended)
		defer close(events)
		defer response.Body.Close() //nolint:errcheck // only read from

		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			events <- lines.Text()
		}
	}()

	return events
}

// seen returns what has arrived at the server, in order.
func (w *wire) seen() []string {
	for {
		select {
		case request := <-w.requests:
			w.all = append(w.all, request)
		default:
			return w.all
		}
	}
}

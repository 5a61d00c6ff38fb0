// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/talos-rebound/rebound/internal/agent/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually bounds what takes milliseconds when it works.
const eventually = 30 * time.Second

// kubelet is a health endpoint that can be stopped and started again under the same address.
type kubelet struct {
	address string
	healthy atomic.Bool
	asked   atomic.Int64
	keeps   bool
	server  *httptest.Server
}

func (k *kubelet) start(t *testing.T) {
	t.Helper()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", k.address)
	require.NoError(t, err)

	k.address = listener.Addr().String()
	k.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.asked.Add(1)

		if !k.healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	require.NoError(t, k.server.Listener.Close())
	k.server.Listener = listener
	k.server.Config.SetKeepAlivesEnabled(k.keeps)
	k.server.Start()
	t.Cleanup(k.server.Close)
}

// watch watches the kubelet until the test ends.
func watch(t *testing.T, k *kubelet, supervised bool) *host.State {
	t.Helper()

	st, err := host.NewState(t.Context())
	require.NoError(t, err)

	watcher := host.Kubelet{
		State: st, URL: "http://" + k.address + "/healthz", Period: 10 * time.Millisecond, Timeout: time.Second,
		Supervised: supervised, Logger: zaptest.NewLogger(t),
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})

	go func() {
		defer close(ended)
		watcher.Watch(ctx)
	}()

	t.Cleanup(func() {
		cancel()
		<-ended
	})

	return st
}

// service is what is published; nil if the kubelet does not run.
func service(t *testing.T, st *host.State) *v1alpha1.Service {
	t.Helper()

	service, err := safe.StateGetByID[*v1alpha1.Service](t.Context(), st, "kubelet")
	if state.IsNotFoundError(err) {
		return nil
	}

	require.NoError(t, err)

	return service
}

func becomes(t *testing.T, st *host.State, wanted func(*v1alpha1.Service) bool) *v1alpha1.Service {
	t.Helper()

	var is *v1alpha1.Service

	require.Eventually(t, func() bool {
		is = service(t, st)

		return wanted(is)
	}, eventually, 5*time.Millisecond)

	return is
}

func healthy(s *v1alpha1.Service) bool {
	return s != nil && s.TypedSpec().Running && s.TypedSpec().Healthy
}

func TestAKubeletRunsAsLongAsItListens(t *testing.T) {
	t.Parallel()

	k := &kubelet{address: "127.0.0.1:0", keeps: true}
	k.start(t)

	st := watch(t, k, false)
	becomes(t, st, func(s *v1alpha1.Service) bool { return s != nil && !s.TypedSpec().Healthy })

	k.healthy.Store(true)
	becomes(t, st, healthy)

	k.server.Close()
	becomes(t, st, func(s *v1alpha1.Service) bool { return s == nil })

	k.start(t)
	becomes(t, st, healthy)
}

// TestAQuickRestartIsANewService has a kubelet that is back before anybody has seen it gone.
func TestAQuickRestartIsANewService(t *testing.T) {
	t.Parallel()

	k := &kubelet{address: "127.0.0.1:0", keeps: true}
	k.healthy.Store(true)
	k.start(t)

	st := watch(t, k, false)
	first := becomes(t, st, healthy)
	asked := k.asked.Load()
	require.Eventually(t, func() bool { return k.asked.Load() > asked+5 }, eventually, time.Millisecond)
	assert.Equal(t, first.Metadata().Created(), service(t, st).Metadata().Created())

	k.server.CloseClientConnections()
	becomes(t, st, func(s *v1alpha1.Service) bool {
		return healthy(s) && s.Metadata().Created().After(first.Metadata().Created())
	})
}

func TestAServerThatKeepsNoConnectionsIsNoRestart(t *testing.T) {
	t.Parallel()

	k := &kubelet{address: "127.0.0.1:0"}
	k.healthy.Store(true)
	k.start(t)

	st := watch(t, k, false)
	first := becomes(t, st, healthy)
	asked := k.asked.Load()
	require.Eventually(t, func() bool { return k.asked.Load() > asked+20 }, eventually, time.Millisecond)
	assert.Equal(t, first.Metadata().Created(), service(t, st).Metadata().Created())
}

func TestASupervisedKubeletRunsThoughItDoesNotListen(t *testing.T) {
	t.Parallel()

	k := &kubelet{address: "127.0.0.1:0", keeps: true}
	k.healthy.Store(true)
	k.start(t)

	st := watch(t, k, true)
	first := becomes(t, st, healthy)

	k.server.Close()

	is := becomes(t, st, func(s *v1alpha1.Service) bool { return !healthy(s) })
	require.NotNil(t, is)
	assert.True(t, is.TypedSpec().Running)

	k.start(t)
	assert.Equal(t, first.Metadata().Created(), becomes(t, st, healthy).Metadata().Created(), "whoever starts it says so")
}

func TestTheTimeOfBootIsRead(t *testing.T) {
	t.Parallel()

	at, err := host.BootTime(filepath.Join("testdata", "stat"))
	require.NoError(t, err)
	assert.Equal(t, time.Unix(1769000000, 0), at)

	_, err = host.BootTime(filepath.Join("testdata", "none"))
	require.ErrorContains(t, err, "failed to read the time of boot")

	_, err = host.BootTime("kubelet_test.go")
	require.ErrorContains(t, err, "no line that begins with btime")
}

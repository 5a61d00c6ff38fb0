// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Path is where the metrics are served.
const Path = "/metrics"

// readTimeout bounds how long a client may take to ask.
const readTimeout = 10 * time.Second

// Server serves the metrics of one state.
type Server struct {
	listener net.Listener
	state    state.State
	registry *prometheus.Registry
	seconds  prometheus.Histogram
	logger   *zap.Logger
}

// Listen listens on an address and serves nothing yet.
func Listen(ctx context.Context, address string, st state.State, logger *zap.Logger) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("failed to listen for metrics: %w; choose another address with --metrics-listen, or none with --metrics-listen=", err)
	}

	s := &Server{
		listener: listener,
		state:    st,
		registry: prometheus.NewRegistry(),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace,
			Name:      "daemonset_recovery_seconds",
			Help:      "Time from the first try to delete a DaemonSet's Failed pod until its replacement was Ready.",
			// From what a healthy cluster takes to the longest back-off of the DaemonSet controller.
			Buckets: []float64{0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900},
		}),
		logger: logger,
	}

	s.registry.MustRegister(collector{state: st}, s.seconds,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())

	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve serves until ctx is done, which is no error.
func (s *Server) Serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))

	server := &http.Server{Handler: mux, ReadHeaderTimeout: readTimeout, ErrorLog: zap.NewStdLog(s.logger)}

	stop := context.AfterFunc(ctx, func() { server.Close() }) //nolint:errcheck // it was to end
	defer stop()

	observed := make(chan struct{})

	go func() {
		defer close(observed)
		s.observe(ctx)
	}()

	err := server.Serve(s.listener)
	<-observed

	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		return nil
	}

	return fmt.Errorf("failed to serve metrics: %w", err)
}

// observe enters every recovery of a DaemonSet into the histogram.
func (s *Server) observe(ctx context.Context) {
	events := make(chan safe.WrappedStateEvent[*reboundres.DaemonSetRecovery])

	if err := safe.StateWatchKind(ctx, s.state, reboundres.NewDaemonSetRecovery("").Metadata(), events); err != nil {
		s.logger.Error("failed to watch for recoveries", zap.Error(err))

		return
	}

	for {
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			old, oldErr := event.Old()
			now, err := event.Resource()

			if event.Type() != state.Updated || err != nil || oldErr != nil {
				continue
			}

			if was, is := old.TypedSpec(), now.TypedSpec(); was.Phase != specs.DaemonSetPhaseRecovered &&
				is.Phase == specs.DaemonSetPhaseRecovered && !is.AttemptedAt.IsZero() {
				s.seconds.Observe(is.FinishedAt.Sub(is.AttemptedAt).Seconds())
			}
		}
	}
}

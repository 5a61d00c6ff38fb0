// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"go.uber.org/zap"
)

// Kubelet watches the kubelet's health endpoint.
type Kubelet struct {
	// State is where the kubelet's service is published.
	State *State
	// URL is the health endpoint, such as http://127.0.0.1:10248/healthz.
	URL string
	// InitialDelay is the time before the first look, Period that between two of them, Timeout that for one answer.
	InitialDelay, Period, Timeout time.Duration
	// Supervised is whether somebody else starts and stops the kubelet, and knows when it runs. If not, it runs as long as
	// it listens, and what looks like another start of it is published as one.
	Supervised bool
	// Healthy is called once, when the kubelet is healthy for the first time; nil for nothing.
	Healthy func(context.Context) error
	Logger  *zap.Logger
}

// maxAnswer is how many bytes of an answer are read: a healthy kubelet says "ok", others may list their checks.
const maxAnswer = 64 << 10

// health is what one look at the kubelet tells.
type health struct {
	running, healthy bool
	// reconnected is whether the connection of the look before was gone.
	reconnected bool
}

// Watch publishes the kubelet's health until ctx is done.
func (k *Kubelet) Watch(ctx context.Context) {
	client := &http.Client{
		Timeout: k.Timeout,
		// Of its own: a connection that is shared says nothing about a start of the kubelet.
		Transport: &http.Transport{MaxIdleConnsPerHost: 1},
	}
	defer client.CloseIdleConnections()

	timer := time.NewTimer(k.InitialDelay)
	defer timer.Stop()

	var seen sighting

	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(k.Period)
		}

		is := k.look(ctx, client)
		if ctx.Err() != nil {
			return
		}

		if err := k.tell(ctx, &seen, is); err != nil {
			k.Logger.Error("failed to publish kubelet health", zap.Error(err))
		}
	}
}

// sighting is what has been told so far.
type sighting struct {
	health

	// known is whether anything was told, reached whether Healthy was called.
	known, reached bool
}

// tell publishes what has changed. What fails is told the next time.
func (k *Kubelet) tell(ctx context.Context, seen *sighting, is health) error {
	// A server that keeps no connection tells nothing by it: once is a restart, always is a habit.
	restarted := !k.Supervised && seen.healthy && is.running && is.reconnected && !seen.reconnected

	if !seen.known || is.running != seen.running || is.healthy != seen.healthy || restarted {
		if err := k.publish(ctx, is, restarted); err != nil {
			return err
		}

		k.Logger.Info("kubelet health changed", zap.Bool("running", is.running), zap.Bool("healthy", is.healthy), zap.Bool("restarted", restarted))
	}

	seen.health, seen.known = is, true

	if is.healthy && !seen.reached && k.Healthy != nil {
		if err := k.Healthy(ctx); err != nil {
			return err
		}
	}

	seen.reached = seen.reached || is.healthy

	return nil
}

func (k *Kubelet) publish(ctx context.Context, is health, restarted bool) error {
	// A resource that is made anew is another start of the kubelet.
	if !is.running || restarted {
		if err := k.State.RemoveKubelet(ctx); err != nil || !is.running {
			return err
		}
	}

	// The time at which the resource was updated is the time at which the kubelet's health changed.
	return k.State.SetKubelet(ctx, v1alpha1.ServiceSpec{Running: true, Healthy: is.healthy})
}

func (k *Kubelet) look(ctx context.Context, client *http.Client) health {
	is := health{running: true}

	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { is.reconnected = !info.Reused },
	})

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL, nil)
	if err != nil {
		return health{running: k.Supervised}
	}

	response, err := client.Do(request)
	if err != nil {
		// One that listens and does not answer in time runs.
		return health{running: k.Supervised || !errors.Is(err, syscall.ECONNREFUSED)}
	}

	defer response.Body.Close() //nolint:errcheck // nothing was written

	is.healthy = response.StatusCode == http.StatusOK

	// A connection is kept only once it was read to the end.
	io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) //nolint:errcheck // the answer was given by the status

	return is
}

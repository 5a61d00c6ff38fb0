// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"net/http"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

// Talos' settings for the kubelet's health check.
const (
	healthInitialDelay = 2 * time.Second
	healthPeriod       = 5 * time.Second
	healthTimeout      = 500 * time.Millisecond
)

// watchHealth keeps the kubelet's service resource up to date until ctx is
// done, and calls healthy when the check succeeds for the first time.
func (machine *machine) watchHealth(ctx context.Context, healthy func(context.Context) error) {
	client := &http.Client{Timeout: healthTimeout}
	defer client.CloseIdleConnections()

	last := v1alpha1.ServiceSpec{Running: true, Unknown: true}
	reached := false

	timer := time.NewTimer(healthInitialDelay)
	defer timer.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(healthPeriod)
		}

		current := v1alpha1.ServiceSpec{Running: true, Healthy: checkHealth(ctx, client, machine.config.HealthPort)}

		// The time at which the resource was updated is the time at which the
		// kubelet's health changed.
		if current != last {
			if err := machine.resources.setKubelet(ctx, current); err != nil {
				machine.logger.Error("failed to publish kubelet health", zap.Error(err))

				continue
			}

			machine.logger.Info("kubelet health changed", zap.Bool("healthy", current.Healthy))

			last = current
		}

		if current.Healthy && !reached {
			reached = true

			if err := healthy(ctx); err != nil {
				machine.logger.Error("failed to follow up on kubelet health", zap.Error(err))
			}
		}
	}
}

func checkHealth(ctx context.Context, client *http.Client, port int) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback.HostPort(port)+"/healthz", nil)
	if err != nil {
		return false
	}

	response, err := client.Do(request)
	if err != nil {
		return false
	}

	defer response.Body.Close() //nolint:errcheck // the body is not read

	return response.StatusCode == http.StatusOK
}

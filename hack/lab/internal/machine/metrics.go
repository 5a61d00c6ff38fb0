// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"

	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/internal/agent/metrics"
)

// serveMetrics serves what an agent serves, until ctx is done, on a machine with
// rebound. A machined has no such thing: it is for those who want to know what
// rebound uses in it.
func (machine *machine) serveMetrics(ctx context.Context) error {
	if machine.config.Rebound == nil {
		return nil
	}

	server, err := metrics.Listen(ctx, loopback.HostPort(machine.config.MetricsPort), machine.state.State, machine.logger)
	if err != nil {
		return err
	}

	go func() {
		if err := server.Serve(ctx); err != nil {
			machine.logger.Error("the metrics went away", zap.Error(err))
		}
	}()

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent

import (
	"context"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/agent/host"
	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// restTime is how long the status must not have changed for the agent to be at rest.
const restTime = 5 * time.Second

// rest gives memory back whenever the agent comes to rest, where it may stay for months.
func (a *agent) rest(ctx context.Context) {
	events := make(chan state.Event)

	if err := a.state.WatchKind(ctx, reboundres.NewRecoveryStatus().Metadata(), events); err != nil {
		a.config.Logger.Error("failed to watch the status", zap.Error(err))

		return
	}

	timer := time.NewTimer(restTime)
	defer timer.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			timer.Reset(restTime)
		case <-timer.C:
			if err := host.ReleaseMemory(); err != nil {
				a.config.Logger.Debug("cannot give memory back", zap.Error(err))
			}
		}
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestMachineHasAClockAndABootIDOfItsOwn(t *testing.T) {
	s := newScenario(t, "clock")
	node := s.addNode("", withRebound())
	before := node.awaitPhase(specs.PhaseRecovered)

	require.NoError(t, node.Stop(s.ctx))
	require.NoError(t, node.SetClock(s.ctx, -time.Hour))
	require.NoError(t, node.HideBootID())
	require.NoError(t, node.Start(s.ctx))

	st, err := node.Recovery()
	require.NoError(t, err)

	status, err := lab.AwaitSpec(s.ctx, st, recoveryres.NewRecoveryStatus().Metadata(), func(status specs.RecoveryStatus) bool {
		return status.Obstacle == "boot-unknown"
	})
	require.NoError(t, err)
	assert.Empty(t, status.BootID)

	require.NoError(t, node.ShowBootID())

	status = node.awaitPhase(specs.PhaseRecovered)
	assert.WithinRange(t, status.BootedAt.Add(time.Hour), before.BootedAt, time.Now())

	daemonSet := s.apply("proxy")
	s.awaitReady()

	started := node.pod(daemonSet).Status.StartTime
	assert.WithinRange(t, started.Add(time.Hour), status.BootedAt.Add(time.Hour), time.Now())

	require.NoError(t, node.SetClock(s.ctx, time.Hour))
	require.NoError(t, node.HardReboot(s.ctx))
	s.awaitReady()
	assert.Equal(t, started, node.pod(daemonSet).Status.StartTime, "the kubelet says once when a pod started")
}

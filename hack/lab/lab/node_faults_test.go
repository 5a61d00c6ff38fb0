// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestRecoveryOutlivesAPanicAtEveryMoment(t *testing.T) {
	s := newScenario(t, "panic")
	node := s.addNode("", withRebound())
	// The answer to one delete is lost, that to the other is known.
	cni, proxy := s.apply("cni"), s.apply("proxy")
	s.awaitReady()
	s.suspendBackOff()

	left := []string{node.pod(cni).Name, node.pod(proxy).Name}

	require.NoError(t, node.PanicAt(lab.Moments()...))
	require.NoError(t, node.Reboot(s.ctx))

	status := node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 2, Deleted: 1, Recovered: 2}, status.Counts)
	assert.ElementsMatch(t, left, node.deleted())

	for name, record := range node.records() {
		assert.Equal(t, 1, record.Attempts, name)
	}

	log, err := node.Log()
	require.NoError(t, err)

	for _, moment := range lab.Moments() {
		assert.True(t, strings.Contains(log, lab.PanicText(moment)), moment)
	}
}

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

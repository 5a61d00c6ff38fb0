// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestClusterComesBackFromAPowerCut(t *testing.T) {
	t.Parallel()

	cluster := alone(t)
	s := newScenarioOn(t, cluster, "cut")
	node := s.addNode("", withRebound())
	s.addNode("-stock")
	daemonSet := s.apply("proxy")
	s.awaitReady()

	before := node.BootID()

	require.NoError(t, cluster.CutPower())
	assert.False(t, node.Running())

	require.NoError(t, cluster.RestorePower(s.ctx))
	assert.NotEqual(t, before, node.BootID())
	assert.Equal(t, daemonSet.UID, s.apply("proxy").UID, "etcd has kept its data")

	s.awaitReady()
	assert.Zero(t, node.awaitPhase(specs.PhaseRecovered).Counts.Found)
	assert.Empty(t, node.deleted())
}

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
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// TestRebootStory is that of operators: four nodes ask, and the one whose turn
// it would be cannot be drained.
func TestRebootStory(t *testing.T) {
	s := newStage(t, "story", 2, controlPlane, controlPlane, controlPlane, worker)
	servers, blocked := s.nodes[:3], s.nodes[3]

	s.run(lab.Deployment(s.name, "app", 1, lab.OnNode(blocked.Name())), 1)
	s.limitDisruptions("app", 0, 0)

	s.ask(s.nodes...)
	waiting := s.awaitPhase(blocked, v1alpha1.PhasePending, reboot.ReasonBlocked)
	require.Len(t, waiting.Status.BlockedBy, 1)
	assert.Equal(t, []string{s.name + "/app"}, waiting.Status.BlockedBy[0].Budgets)

	began := time.Now()
	s.awaitRebooted(servers...)
	t.Logf("three control planes after %s", time.Since(began))
	assert.Zero(t, s.witness.Cordoned(blocked.Name()), "the blocked node is never touched")
	s.awaitSlots()

	freed := time.Now()
	s.free("app")
	s.awaitPhase(blocked, v1alpha1.PhaseGranted, "")

	took := time.Since(freed)
	t.Logf("granted %s after the budget was freed", took)
	assert.Less(t, took, soon)
	s.awaitRebooted(blocked)
	assert.Equal(t, 1, s.witness.MaxUnavailable())
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestAnAgentGivesWayToMachined(t *testing.T) {
	t.Parallel()

	agent := edit(func(f *recovery.Facts) { f.Settings.YieldsToMachined = true })
	machined := link(func(l *recovery.Link) { l.Node.HasMachined = true })
	left := pods(failed(because("NodeShutdown")))

	assert.Len(t, deletes(recovery.Plan(facts(left, machined), now)), 1, "this is machined")
	assert.Len(t, deletes(recovery.Plan(facts(left, agent), now)), 1, "there is no other")

	f := facts(left, agent, machined)
	decision := recovery.Plan(f, now)
	assert.Empty(t, decision.Verdicts)
	assert.False(t, decision.Connect)
	assert.Equal(t, specs.PhaseDisabled, decision.Status.Phase)
	assert.Equal(t, `machined of node "worker-1" has rebound, and this agent gives way to it`, decision.Status.Message)

	// Without a connection nothing is known of the Node any more.
	f.Link, f.Status = recovery.Link{}, decision.Status
	later := recovery.Plan(f, now.Add(time.Hour))
	assert.False(t, later.Connect)
	assert.Equal(t, decision.Status, later.Status)

	f.Gate.KubeletStart = "second"
	assert.True(t, recovery.Plan(f, now.Add(time.Hour)).Connect, "machined may be another one by now")
}

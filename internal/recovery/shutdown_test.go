// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestAKubeletThatShutsDownClosesTheGate(t *testing.T) {
	t.Parallel()

	shuttingDown := link(func(l *recovery.Link) { l.Node.ShuttingDown = true })
	decision := recovery.Plan(facts(pods(failed(because("NodeShutdown"))), shuttingDown), now)

	assert.Equal(t, recovery.ObstacleNodeShutdown, decision.Obstacle)
	assert.Equal(t, specs.PhaseWaiting, decision.Status.Phase)
	assert.Equal(t, `the kubelet of node "worker-1" says that the node is shutting down`, decision.Status.Message)
	assert.Empty(t, decision.Verdicts)
	assert.True(t, decision.ReadNode, "nothing else tells whether the shutdown is cancelled")
	assert.Equal(t, now.Add(5*time.Second), decision.LookAgain)
}

// TestAPodShutDownInThisBootIsHeld is about a shutdown that nothing but its first pods tells of, and about one that was
// cancelled.
func TestAPodShutDownInThisBootIsHeld(t *testing.T) {
	t.Parallel()

	ended := now.Add(-time.Second)
	reported := func(at time.Time) edit { return link(func(l *recovery.Link) { l.Node.ReportedAt = at }) }

	for _, pod := range []recovery.Pod{
		failed(because("NodeShutdown"), sinceBoot(ended.Sub(booted))),
		failed(because("Terminated"), sinceBoot(10*time.Second), func(p *recovery.Pod) { p.KubeletDisrupted, p.DisruptedAt = true, ended }),
	} {
		decision := recovery.Plan(facts(pods(pod), reported(ended)), now)
		require.Len(t, decision.Verdicts, 1)
		assert.Equal(t, recovery.ActionWait, decision.Verdicts[0].Action, pod.Reason)
		assert.Contains(t, decision.Verdicts[0].Reason, "held until the kubelet has reported whether the node is shutting down")
		assert.True(t, decision.ReadNode)
		assert.Equal(t, now.Add(5*time.Second), decision.LookAgain)

		record := edit(func(f *recovery.Facts) { f.Status, f.DaemonSets = decision.Status, decision.DaemonSets })

		released := recovery.Plan(facts(pods(pod), record, reported(ended.Add(time.Second))), now.Add(time.Second))
		assert.Len(t, deletes(released), 1, "the kubelet has reported since, and of no shutdown")
		assert.False(t, released.ReadNode)

		limit := 6 * time.Minute
		assert.Empty(t, deletes(recovery.Plan(facts(pods(pod), record, reported(ended)), now.Add(limit-time.Second))))
		assert.Len(t, deletes(recovery.Plan(facts(pods(pod), record, reported(ended)), now.Add(limit))), 1, "no report is waited for in vain")
	}
}

func TestAReleasedPodStillCountsAsOneOfThisBoot(t *testing.T) {
	t.Parallel()

	pod := failed(because("NodeShutdown"), sinceBoot(50*time.Second))
	f := facts(pods(pod), record(rejections(4)), link(func(l *recovery.Link) { l.Node.ReportedAt = now }))

	decision := recovery.Plan(f, now.Add(-3*time.Second))
	assert.Empty(t, deletes(decision))
	assert.Equal(t, booted.Add(58*time.Second), decision.Verdicts[0].NotBefore, "eight seconds after it was rejected, as any other")

	f.Status, f.DaemonSets = decision.Status, decision.DaemonSets
	assert.Len(t, deletes(recovery.Plan(f, booted.Add(58*time.Second))), 1)
}

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

func recovered() edit {
	return func(f *recovery.Facts) {
		underWay()(f)
		f.Status.Phase, f.Status.Message, f.Status.FinishedAt = specs.PhaseRecovered, "DaemonSets: 1 recovered", now
	}
}

func TestANodeThatRecoveredNeedsNoConnection(t *testing.T) {
	t.Parallel()

	f := facts(record(before(nil)), recovered(), link(func(l *recovery.Link) { *l = recovery.Link{} }))
	f.Status.Counts = specs.Counts{Found: 1, Deleted: 1, Recovered: 1}
	decision := recovery.Plan(f, now.Add(time.Hour))

	assert.Equal(t, recovery.Decision{Status: f.Status, DaemonSets: f.DaemonSets}, decision)
}

// A webhook may hold up the answer to a delete whose effect has been seen.
func TestANodeThatRecoveredWaitsForTheAnswersToItsDeletes(t *testing.T) {
	t.Parallel()

	rec := before(func(rec *specs.DaemonSetRecovery) { rec.FinishedAt = booted.Add(45 * time.Second) })
	f := facts(record(rec), pods(replacement(true, "Running")), func(f *recovery.Facts) { f.InFlight = map[string]bool{"uid-old": true} })
	decision := recovery.Plan(f, now)
	require.Equal(t, specs.PhaseRecovered, decision.Status.Phase)
	assert.True(t, decision.Connect)

	f.Status, f.DaemonSets = decision.Status, decision.DaemonSets
	decision = recovery.Plan(f, now.Add(time.Second))
	assert.True(t, decision.Connect)
	assert.Equal(t, f.Status, decision.Status)

	f.InFlight = nil
	assert.False(t, recovery.Plan(f, now.Add(2*time.Second)).Connect)
}

func TestANodeIsLookedAtAgain(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		edit edit
	}{
		{"when its kubelet has been restarted", gate(func(g *recovery.Gate) { g.KubeletStart = "second" })},
		{"when it has another name", gate(func(g *recovery.Gate) { g.NodeName = "worker-9" })},
		{"when its boot id has changed", func(f *recovery.Facts) { f.Boot.ID, f.Link.Node.BootID = "next", "next" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			relisted := link(func(l *recovery.Link) { l.SyncedAt = now.Add(time.Minute) })
			decision := recovery.Plan(facts(recovered(), relisted, tc.edit), now.Add(time.Minute))

			assert.True(t, decision.Connect)
			assert.Zero(t, decision.Obstacle)
			assert.Equal(t, now.Add(time.Minute), decision.Status.StartedAt)
		})
	}
}

func TestAClosedGateForgetsThatTheNodeHadRecovered(t *testing.T) {
	t.Parallel()

	decision := recovery.Plan(facts(recovered(), gate(func(g *recovery.Gate) { g.KubeletHealthy = false })), now.Add(time.Hour))

	assert.False(t, decision.Connect)
	assert.Equal(t, specs.PhaseWaiting, decision.Status.Phase)
	assert.Zero(t, decision.Status.FinishedAt)
	assert.Zero(t, decision.Status.StartedAt)
}

func TestAnotherNodeNameForgetsWhatWasDone(t *testing.T) {
	t.Parallel()

	decision := recovery.Plan(facts(record(rejections(10)), recovered(), gate(func(g *recovery.Gate) { g.NodeName = "worker-9" })), now)

	assert.Empty(t, decision.DaemonSets)
}

func TestANodeThatIsRenamedThroughNoNameAtAllForgetsWhatWasDone(t *testing.T) {
	t.Parallel()

	f := facts(record(rejections(10)), recovered(), gate(func(g *recovery.Gate) { g.NodeName = "" }))
	nameless := recovery.Plan(f, now)
	require.Equal(t, node, nameless.Status.NodeName)

	f.Status, f.DaemonSets, f.Gate.NodeName = nameless.Status, nameless.DaemonSets, "worker-9"

	assert.Empty(t, recovery.Plan(f, now).DaemonSets)
}

func TestALostNodeNameForgetsNothing(t *testing.T) {
	t.Parallel()

	decision := recovery.Plan(facts(record(rejections(10)), recovered(), gate(func(g *recovery.Gate) { g.NodeName = "" })), now)

	assert.Len(t, decision.DaemonSets, 1)
}

func TestNothingIsConcludedFromAWatchThatBroke(t *testing.T) {
	t.Parallel()

	f := facts(record(deleted(time.Hour)), link(func(l *recovery.Link) { l.Error = "failed to watch pods: EOF" }))
	decision := recovery.Plan(f, now)

	assert.Equal(t, specs.DaemonSetPhaseReplacing, decision.DaemonSets[id].Phase)
	assert.Equal(t, specs.PhaseWaiting, decision.Status.Phase)
	assert.Equal(t, "failed to watch pods: EOF", decision.Status.Message)
	assert.True(t, decision.Connect)
}

func TestTheNodeWaitsForTheListOfItsPods(t *testing.T) {
	t.Parallel()

	decision := recovery.Plan(facts(link(func(l *recovery.Link) { l.SyncedAt = time.Time{} })), now)

	assert.Equal(t, specs.PhaseWaiting, decision.Status.Phase)
	assert.Equal(t, "listing the pods of node worker-1", decision.Status.Message)
	assert.Equal(t, now, decision.Status.StartedAt)
	assert.True(t, decision.Connect)
}

func TestTheMessageNamesTheFirstThreeAndCountsTheRest(t *testing.T) {
	t.Parallel()

	left := make([]recovery.Pod, 0, 5)
	for _, name := range []string{"e", "d", "c", "b", "a"} {
		left = append(left, podOf(name, name+"-1", because("NodeShutdown")))
	}

	decision := recovery.Plan(facts(pods(left...)), now)

	assert.Equal(t, "kube-system/a: deleting a-1, which is Failed (NodeShutdown); "+
		"kube-system/b: deleting b-1, which is Failed (NodeShutdown); "+
		"kube-system/c: deleting c-1, which is Failed (NodeShutdown); and 2 more", decision.Status.Message)
	assert.Len(t, deletes(decision), 5)
}

func TestTheCountsSumUpTheDaemonSets(t *testing.T) {
	t.Parallel()

	f := facts(
		recordOf("a/recovered", specs.DaemonSetRecovery{Phase: specs.DaemonSetPhaseRecovered, UID: "uid-recovered", FailedPodUID: "1", Attempts: 3, Deleted: 3}),
		pods(podOf("recovered", "recovered-1", func(p *recovery.Pod) { p.Namespace, p.Failed, p.Ready = "a", false, true })),
		recordOf("a/released", specs.DaemonSetRecovery{Phase: specs.DaemonSetPhaseReleased, FailedPodUID: "2", Attempts: 1, Deleted: 1, DeletedAt: now, FinishedAt: now}),
		pods(
			podOf("skipped", "skipped-1", func(p *recovery.Pod) { p.OptedOut = true }),
			podOf("unrelated", "unrelated-1", sinceBoot(time.Second)),
			podOf("exhausted", "exhausted-1", because("OutOfcpu"), sinceBoot(time.Second)),
			podOf("blocked", "blocked-1", func(p *recovery.Pod) { p.Deleting, p.Finalizers = true, []string{"x"} }),
			podOf("pending", "pending-1"),
		),
		recordOf("kube-system/exhausted", rejections(10)),
	)

	assert.Equal(t, specs.Counts{
		Found: 5, Deleted: 14, Recovered: 1, Released: 1, Exhausted: 1, Blocked: 1, Skipped: 1, Unrelated: 1,
	}, recovery.Plan(f, now).Status.Counts)
}

func TestARecordIsUnchangedByAPassThatFindsNothingNew(t *testing.T) {
	t.Parallel()

	for _, f := range []recovery.Facts{
		facts(pods(leftover())),
		facts(pods(failed(because("UnexpectedAdmissionError"), sinceBoot(time.Minute))), record(rejections(5))),
		facts(pods(replacement(false, "Pending"))),
		facts(record(deleted(time.Second))),
		facts(gate(func(g *recovery.Gate) { g.KubeletRunning = false })),
	} {
		first := recovery.Plan(f, now)

		f.Status, f.DaemonSets = first.Status, first.DaemonSets
		f.InFlight = map[string]bool{"uid-old": true}
		second := recovery.Plan(f, now.Add(100*time.Millisecond))

		require.Equal(t, first.DaemonSets, second.DaemonSets)
		require.Equal(t, first.Status, second.Status)
	}
}

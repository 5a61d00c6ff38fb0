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

// step sets the clock: everything that is read from it from now on, the time of the boot included, is later by as much.
func step(by time.Duration) edit {
	return func(f *recovery.Facts) {
		f.Boot.Time = f.Boot.Time.Add(by)
		f.Link.SyncedAt = f.Link.SyncedAt.Add(by)
	}
}

func TestAWaitIsAsLongAsItWasHoweverTheClockIsSet(t *testing.T) {
	t.Parallel()

	blocked := attempted(func(rec *specs.DaemonSetRecovery) {
		rec.Phase, rec.Failures, rec.LastError, rec.NextAttemptAt = specs.DaemonSetPhaseBlocked, 1, "no", now.Add(5*time.Second)
	})
	recoveredJustNow := attempted(func(rec *specs.DaemonSetRecovery) {
		rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now, now
	})

	for _, tc := range []struct {
		name  string
		edits []edit
		wait  time.Duration // from now
	}{
		{"for the settle time", []edit{listed(0), underWay()}, 12 * time.Second},
		{"for the settle time after a recovery", []edit{record(recoveredJustNow), pods(replacement(true, "Running"))}, 12 * time.Second},
		{"for a replacement", []edit{record(deleted(0))}, 2 * time.Minute},
		{"for a replacement that nothing promises", []edit{listed(time.Hour), record(deleted(2 * time.Minute))}, 13 * time.Minute},
		{"for the next try of a delete", []edit{record(blocked), pods(leftover())}, 5 * time.Second},
	} {
		for name, by := range map[string]time.Duration{"not at all": 0, "back": -time.Hour, "forward": time.Hour} {
			t.Run(tc.name+", set "+name, func(t *testing.T) {
				t.Parallel()

				f := facts(append(tc.edits, step(by))...)
				want := recovery.Plan(facts(tc.edits...), now)
				got := recovery.Plan(f, now.Add(by))

				assert.Equal(t, now.Add(by).Add(tc.wait), got.LookAgain)
				assert.Equal(t, want.Status.Phase, got.Status.Phase)
				assert.Equal(t, want.Status.StartedAt.Add(by), got.Status.StartedAt)
				assert.Equal(t, booted.Add(by), got.Status.BootedAt)

				for id, rec := range want.DaemonSets {
					assert.Equal(t, rec.Phase, got.DaemonSets[id].Phase)
				}
			})
		}
	}
}

func TestTheClockThatIsReadALittleLaterIsNoNews(t *testing.T) {
	t.Parallel()

	f := facts(record(deleted(time.Second)))
	first := recovery.Plan(f, now)

	f.Status, f.DaemonSets = first.Status, first.DaemonSets
	f.Boot.Time = booted.Add(3 * time.Millisecond)
	second := recovery.Plan(f, now.Add(time.Second))

	assert.Equal(t, first.Status, second.Status)
	assert.Equal(t, first.DaemonSets, second.DaemonSets)
}

func TestAKubeletRestartIsNoticedThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()

	later := now.Add(-30 * time.Minute)
	f := facts(recovered(), step(-time.Hour))
	require.Equal(t, specs.PhaseRecovered, recovery.Plan(f, later).Status.Phase)

	f.Gate.KubeletStart, f.Link.SyncedAt = "earlier than the first", later
	assert.Equal(t, specs.PhaseRecovering, recovery.Plan(f, later).Status.Phase)
}

func TestTheClockMayBeSetBetweenADeleteAndTheDecisionOnIt(t *testing.T) {
	t.Parallel()

	f := facts(record(attempted(nil)), pods(leftover()), outcome(recovery.ResultRefused, "no"), step(-time.Hour))

	assert.Equal(t, now.Add(-time.Hour+5*time.Second), recovery.Plan(f, now.Add(-time.Hour)).LookAgain)
}

// A clock that is set forward, or a pause of a virtual machine that the kernel's clock does not count, makes the boot look
// later than the start of a pod of this boot.
func TestAPodOfThisBootIsNoLeftoverThoughTheClockWasSet(t *testing.T) {
	t.Parallel()

	evicted := failed(because("Evicted"), sinceBoot(50*time.Second))
	rejected := podOf("gpu", "gpu-1", because("OutOfgpu"), sinceBoot(50*time.Second))

	f := facts(underWay(), step(time.Hour), pods(evicted, rejected))
	decision := recovery.Plan(f, now.Add(time.Hour))

	require.Len(t, decision.Verdicts, 2)
	assert.Equal(t, recovery.ClassUnrelated, decision.Verdicts[0].Class)
	assert.Equal(t, recovery.ClassRejected, decision.Verdicts[1].Class)
	assert.Equal(t, booted, decision.Status.LeftoversBefore)
}

// A machine without a clock of its own may begin anywhere; its kubelet starts when the time is known.
func TestTheClockBeforeTheKubeletCameSaysNothingAboutPods(t *testing.T) {
	t.Parallel()

	f := facts(
		gate(func(g *recovery.Gate) { g.KubeletRunning, g.KubeletHealthy = false, false }),
		func(f *recovery.Facts) { f.Boot.Time = time.Unix(0, 0) },
	)
	waiting := recovery.Plan(f, time.Unix(20, 0))
	require.Zero(t, waiting.Status.LeftoversBefore)

	f = facts(pods(failed(because("Evicted"))))
	f.Status = waiting.Status
	decision := recovery.Plan(f, now)

	assert.Equal(t, recovery.ClassLeftover, decision.Verdicts[0].Class)
	assert.Equal(t, booted, decision.Status.LeftoversBefore)
}

// The kubelet has seen pods before its health check passes for the first time.
func TestTheClockMayBeSetBeforeTheKubeletIsHealthy(t *testing.T) {
	t.Parallel()

	f := facts(gate(func(g *recovery.Gate) { g.KubeletHealthy = false }))
	starting := recovery.Plan(f, now)
	require.Equal(t, booted, starting.Status.LeftoversBefore)

	f = facts(pods(failed(because("Evicted"), sinceBoot(time.Second))), step(time.Hour))
	f.Status = starting.Status
	decision := recovery.Plan(f, now.Add(time.Hour))

	assert.Equal(t, recovery.ClassUnrelated, decision.Verdicts[0].Class)
}

func TestNothingIsPutOffBeyondItsOwnBound(t *testing.T) {
	t.Parallel()

	// The clock was an hour ahead before the reboot.
	ahead := sinceBoot(time.Minute + time.Hour)

	t.Run("a pod that was shut down in the future is deleted now", func(t *testing.T) {
		t.Parallel()

		assert.Len(t, deletes(recovery.Plan(facts(pods(leftover(ahead))), now)), 1)
	})

	t.Run("a pod that was rejected in the future waits for its turn only", func(t *testing.T) {
		t.Parallel()

		f := facts(record(rejections(3)), pods(failed(because("OutOfcpu"), ahead)))
		first := recovery.Plan(f, now)
		require.Empty(t, deletes(first))
		require.Equal(t, now.Add(4*time.Second), first.LookAgain)

		f.Status, f.DaemonSets = first.Status, first.DaemonSets
		second := recovery.Plan(f, now.Add(time.Second))
		require.Empty(t, deletes(second))
		require.Equal(t, now.Add(4*time.Second), second.LookAgain, "it does not begin anew with every look")

		assert.Len(t, deletes(recovery.Plan(f, now.Add(4*time.Second))), 1)
	})
}

func TestLeftoversOfAShutdownAreNotCappedThoughTheClockWasAhead(t *testing.T) {
	t.Parallel()

	f := facts(record(rejections(10)), pods(leftover(sinceBoot(time.Hour))))
	assert.Len(t, deletes(recovery.Plan(f, now)), 1)

	f = facts(pods(failed(because("Evicted"), sinceBoot(time.Hour))))
	assert.Empty(t, deletes(recovery.Plan(f, now)), "only a shutdown's")
}

func TestAPodOfThisBootIsNoLeftoverThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()

	f := facts(underWay(), step(-time.Hour), pods(failed(because("Evicted"), sinceBoot(50*time.Second-time.Hour))))
	decision := recovery.Plan(f, now.Add(-time.Hour))

	assert.Equal(t, recovery.ClassUnrelated, decision.Verdicts[0].Class)
	assert.Equal(t, booted.Add(-time.Hour), decision.Status.LeftoversBefore)
}

func TestEverythingPublishedMovesWithTheClock(t *testing.T) {
	t.Parallel()

	f := facts(record(before(nil)), recovered(), step(time.Hour))
	was := f.DaemonSets[id]
	decision := recovery.Plan(f, now.Add(2*time.Hour))

	assert.Equal(t, was, f.DaemonSets[id], "the facts are not the decision's to change")
	assert.Equal(t, f.Status.FinishedAt.Add(time.Hour), decision.Status.FinishedAt)
	assert.Equal(t, f.Status.StartedAt.Add(time.Hour), decision.Status.StartedAt)
	assert.Equal(t, was.AttemptedAt.Add(time.Hour), decision.DaemonSets[id].AttemptedAt)
	assert.Equal(t, was.DeletedAt.Add(time.Hour), decision.DaemonSets[id].DeletedAt)
	assert.Equal(t, was.FinishedAt.Add(time.Hour), decision.DaemonSets[id].FinishedAt)

	f.Boot = recovery.Boot{Error: "failed to read the boot id"}
	assert.Equal(t, booted, recovery.Plan(f, now).Status.BootedAt, "it is still that of the times beside it")
}

// TestATimeIsMovedOnceThoughNotAllWasPublished ends the pass that finds the clock set before its status is written, after one of
// two records.
func TestATimeIsMovedOnceThoughNotAllWasPublished(t *testing.T) {
	t.Parallel()

	const other = "kube-system/other"

	for name, by := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			f := facts(record(deleted(time.Second)), recordOf(other, deleted(time.Second)), step(by))
			first := recovery.Plan(f, now.Add(by))
			f.DaemonSets = map[string]specs.DaemonSetRecovery{id: first.DaemonSets[id], other: f.DaemonSets[other]}
			f.Boot.Time = f.Boot.Time.Add(3 * time.Millisecond)

			second := recovery.Plan(f, now.Add(by))
			assert.Equal(t, first.DaemonSets[id], second.DaemonSets[id])
			assert.WithinDuration(t, now.Add(by-time.Second), second.DaemonSets[id].DeletedAt, 0)
			assert.WithinDuration(t, now.Add(by-time.Second), second.DaemonSets[other].DeletedAt, 3*time.Millisecond)
			assert.WithinDuration(t, first.Status.StartedAt, second.Status.StartedAt, 3*time.Millisecond)
		})
	}

	// The very first pass was cut off, so there is no status at all.
	f := facts(record(deleted(time.Second)), step(time.Hour))
	f.Status = specs.RecoveryStatus{}
	assert.Equal(t, now.Add(time.Hour-time.Second), recovery.Plan(f, now.Add(time.Hour)).DaemonSets[id].DeletedAt)
}

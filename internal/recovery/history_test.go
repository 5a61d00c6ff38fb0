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

// before is the record of a DaemonSet that had recovered before this start of the kubelet.
func before(change func(*specs.DaemonSetRecovery)) specs.DaemonSetRecovery {
	return attempted(func(rec *specs.DaemonSetRecovery) {
		rec.Phase, rec.Deleted, rec.Replacement = specs.DaemonSetPhaseRecovered, 1, "cilium-new"
		rec.AttemptedAt, rec.DeletedAt, rec.FinishedAt = booted.Add(31*time.Second), booted.Add(32*time.Second), booted.Add(35*time.Second)

		if change != nil {
			change(rec)
		}
	})
}

// restarted is the node that had recovered, when its kubelet has been restarted and the pods are listed anew.
func restarted() edit {
	return func(f *recovery.Facts) {
		recovered()(f)
		f.Gate.KubeletStart = "second"
		f.Link.SyncedAt = now.Add(time.Hour)
	}
}

func TestWhatWasOverBeforeTheKubeletCameHoldsNothingUp(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		rec  specs.DaemonSetRecovery
	}{
		{"a DaemonSet that had recovered", before(nil)},
		{"a DaemonSet that had not come back", before(func(rec *specs.DaemonSetRecovery) { rec.Phase = specs.DaemonSetPhaseReleased })},
		{"a DaemonSet that had opted out after a delete", before(func(rec *specs.DaemonSetRecovery) { rec.Phase = specs.DaemonSetPhaseSkipped })},
		{"a DaemonSet whose pod had been evicted after a delete", before(func(rec *specs.DaemonSetRecovery) { rec.Phase = specs.DaemonSetPhaseUnrelated })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			f := facts(record(tc.rec), restarted())

			// Pass after pass, as the controller asks.
			for at := now.Add(time.Hour); ; {
				decision := recovery.Plan(f, at)
				require.Equal(t, tc.rec, decision.DaemonSets[id], "it is history")

				if decision.Status.Phase == specs.PhaseRecovered {
					assert.Equal(t, now.Add(time.Hour+12*time.Second), at, "no more than the settle time")

					return
				}

				require.Less(t, at, now.Add(2*time.Hour))
				f.Status, f.DaemonSets, at = decision.Status, decision.DaemonSets, decision.LookAgain
			}
		})
	}
}

func TestWhatWasLeftAloneBeforeTheKubeletCameHoldsNothingUp(t *testing.T) {
	t.Parallel()

	for name, pod := range map[string]recovery.Pod{
		"as it was evicted": podOf("cilium", "cilium-new", because("Evicted"), sinceBoot(time.Second)),
		"as it opted out":   podOf("cilium", "cilium-new", func(p *recovery.Pod) { p.OptedOut = true }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			f := facts(record(deleted(time.Second)), pods(pod))
			before := recovery.Plan(f, now)
			require.Equal(t, specs.PhaseRecovered, before.Status.Phase)

			f.Status, f.DaemonSets = before.Status, before.DaemonSets
			require.Equal(t, before.DaemonSets, recovery.Plan(f, now.Add(time.Minute)).DaemonSets, "it is as it was")

			// The DaemonSet is deleted, and the kubelet restarted.
			f.Link.Pods, f.Link.SyncedAt, f.Gate.KubeletStart = nil, now.Add(time.Hour), "second"
			after := recovery.Plan(f, now.Add(time.Hour))

			assert.Equal(t, before.DaemonSets, after.DaemonSets)
			assert.Equal(t, now.Add(time.Hour+12*time.Second), after.LookAgain)
		})
	}
}

func TestWhatRecoveredBeforeTheKubeletCameIsFollowedIfItHasAPod(t *testing.T) {
	t.Parallel()

	decision := recovery.Plan(facts(record(before(nil)), restarted(), pods(replacement(false, "Pending"))), now.Add(time.Hour))

	assert.Equal(t, specs.DaemonSetPhaseReplacing, decision.DaemonSets[id].Phase)
	assert.Equal(t, specs.PhaseRecovering, decision.Status.Phase)
}

// The API server was away in the middle of a recovery: one DaemonSet had its pod back, and has lost it since.
func TestWhatRecoveredBeforeAnOutageIsFollowedEvenWithoutAPod(t *testing.T) {
	t.Parallel()

	f := facts(
		record(attempted(func(rec *specs.DaemonSetRecovery) {
			rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Minute), now
		})),
		recordOf("kube-system/proxy", deleted(time.Minute)),
		link(func(l *recovery.Link) { *l = recovery.Link{Error: "connection refused"} }),
	)

	away := recovery.Plan(f, now.Add(time.Minute))
	require.Equal(t, specs.PhaseWaiting, away.Status.Phase)

	f.Status, f.DaemonSets = away.Status, away.DaemonSets
	f.Link = recovery.Link{Node: recovery.Node{BootID: boot}, SyncedAt: now.Add(2 * time.Minute)}
	back := recovery.Plan(f, now.Add(2*time.Minute))

	assert.Equal(t, specs.DaemonSetPhaseReplacing, back.DaemonSets[id].Phase)
	assert.Contains(t, back.Status.Message, id+": waiting for the replacement of cilium-old")
}

func TestAKubeletThatCameBackBetweenTwoDecisionsBeginsAnew(t *testing.T) {
	t.Parallel()

	// In the middle of a recovery: nothing has finished yet, but for the DaemonSet that is gone since.
	f := facts(record(before(func(rec *specs.DaemonSetRecovery) { rec.FinishedAt = booted.Add(45 * time.Second) })))
	f.Gate.KubeletStart = "second"

	decision := recovery.Plan(f, now)

	assert.Equal(t, now, decision.Status.StartedAt)
	assert.Equal(t, "second", decision.Status.KubeletStart)
	assert.Equal(t, specs.DaemonSetPhaseRecovered, decision.DaemonSets[id].Phase)
}

// released is a node that had recovered but for a DaemonSet that did not come back.
func released(edits ...edit) recovery.Facts {
	rec := attempted(func(rec *specs.DaemonSetRecovery) {
		rec.Phase, rec.Deleted, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseReleased, 1, now.Add(-15*time.Minute), now
	})
	f := facts(append([]edit{record(rec), recovered(), listed(time.Hour)}, edits...)...)
	f.Status.Counts = specs.Counts{Found: 1, Deleted: 1, Released: 1}

	return f
}

func TestWhatDidNotComeBackHoldsNothingUp(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		edit edit
	}{
		{"while nothing comes", func(*recovery.Facts) {}},
		{"while other DaemonSets live on", pods(other(now), podOf("kube-proxy", "kube-proxy-old", because("OutOfcpu"), sinceBoot(time.Second)))},
		{"while the pods are not known", link(func(l *recovery.Link) {
			l.SyncedAt, l.Pods = time.Time{}, []recovery.Pod{replacement(true, "Running")}
		})},
		{"while the API server is away", link(func(l *recovery.Link) {
			l.Error, l.Pods = "connection refused", []recovery.Pod{replacement(true, "Running")}
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			f := released(tc.edit)

			assert.Equal(t, recovery.Decision{Connect: true, Status: f.Status, DaemonSets: f.DaemonSets}, recovery.Plan(f, now.Add(time.Hour)))
		})
	}
}

func TestWhatDidNotComeBackIsNoticedWhenAPod(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		pod  recovery.Pod
		rec  specs.DaemonSetPhase
		node specs.Phase
	}{
		{"comes", replacement(false, "Pending"), specs.DaemonSetPhaseReplacing, specs.PhaseRecovering},
		{"is Ready", replacement(true, "Running"), specs.DaemonSetPhaseRecovered, specs.PhaseRecovering},
		{"fails", failed(because("OutOfcpu"), sinceBoot(time.Minute)), specs.DaemonSetPhasePending, specs.PhaseRecovering},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := recovery.Plan(released(pods(tc.pod)), now.Add(time.Hour))

			assert.True(t, decision.Connect)
			assert.Equal(t, tc.rec, decision.DaemonSets[id].Phase)
			assert.Equal(t, tc.node, decision.Status.Phase)
			assert.Zero(t, decision.Status.FinishedAt)
		})
	}
}

func TestWhatWasOverBeforeAnotherDaemonSetCameBackIsHistory(t *testing.T) {
	t.Parallel()

	// Its DaemonSet has been deleted since.
	over := before(func(rec *specs.DaemonSetRecovery) { rec.FinishedAt = booted.Add(50 * time.Second) })
	decision := recovery.Plan(released(recordOf("kube-system/proxy", over), pods(replacement(true, "Running"))), now.Add(time.Hour))

	assert.Equal(t, specs.DaemonSetPhaseRecovered, decision.DaemonSets[id].Phase)
	assert.Equal(t, over, decision.DaemonSets["kube-system/proxy"])
	assert.Equal(t, now.Add(time.Hour), decision.Status.StartedAt)
}

func TestWhatHasAPodAfterTheKubeletCameIsNoHistory(t *testing.T) {
	t.Parallel()

	evicted := podOf("cilium", "cilium-new", because("Evicted"), sinceBoot(time.Second))

	for _, tc := range []struct {
		name string
		rec  specs.DaemonSetRecovery
		pod  recovery.Pod
	}{
		{"as it was Ready", before(nil), replacement(true, "Running")},
		{"as it was evicted", before(func(rec *specs.DaemonSetRecovery) {
			rec.Phase, rec.FailedPodUID = specs.DaemonSetPhaseUnrelated, evicted.UID
		}), evicted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			f := facts(record(tc.rec), restarted(), pods(tc.pod))
			there := recovery.Plan(f, now.Add(time.Hour))
			require.Equal(t, tc.rec.Phase, there.DaemonSets[id].Phase)

			f.Status, f.DaemonSets, f.Link.Pods = there.Status, there.DaemonSets, nil
			gone := recovery.Plan(f, now.Add(time.Hour+2*time.Second))

			assert.Equal(t, specs.DaemonSetPhaseReplacing, gone.DaemonSets[id].Phase)
		})
	}
}

func TestAKubeletThatIsUnhealthyForAMomentIsNoNewStart(t *testing.T) {
	t.Parallel()

	f := facts(record(deleted(time.Second)), recordOf("kube-system/proxy", deleted(time.Second)), pods(replacement(true, "Running")))
	f.Gate.KubeletHealthy = true

	for i, healthy := range []bool{true, false, true} {
		f.Gate.KubeletHealthy = healthy
		if i > 0 {
			f.Link.Pods = nil // it goes meanwhile
		}

		decision := recovery.Plan(f, now.Add(time.Duration(i)*time.Second))
		f.Status, f.DaemonSets = decision.Status, decision.DaemonSets
	}

	assert.Equal(t, specs.DaemonSetPhaseReplacing, f.DaemonSets[id].Phase)
}

func TestAPodOfAnOlderDaemonSetIsNoSignThatItCameBack(t *testing.T) {
	t.Parallel()

	older := replacement(true, "Running")
	older.Owner.UID, older.Created = "uid-older", booted.Add(-2*time.Hour)
	f := released(pods(older))

	assert.Equal(t, recovery.Decision{Connect: true, Status: f.Status, DaemonSets: f.DaemonSets}, recovery.Plan(f, now.Add(time.Hour)))
}

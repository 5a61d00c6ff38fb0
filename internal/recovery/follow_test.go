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

func TestADaemonSetAndItsReplacement(t *testing.T) {
	t.Parallel()

	const byFinalizers = `pod "cilium-old" is held by finalizers: example.com/a, example.com/b`

	held := leftover(func(p *recovery.Pod) {
		p.Deleting, p.Finalizers = true, []string{"example.com/a", "example.com/b"}
	})

	testDaemonSet(t, []daemonSetCase{
		{
			"whose pod is held by finalizers is blocked",
			[]edit{pods(held), record(deleted(time.Second))},
			0, isBlocked(byFinalizers, 0),
		},
		{
			"whose finalizers let go after an hour has its replacement waited for from then on",
			[]edit{listed(2 * time.Hour), pods(other(now)), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.LastError, rec.Deleted = specs.DaemonSetPhaseBlocked, "held", 1
			}))},
			0, awaits(2 * time.Minute),
		},
		{
			"whose pod is held by finalizers is blocked even beside a Ready one",
			[]edit{pods(held, replacement(true, "Running")), record(deleted(time.Second))},
			0, isBlocked(byFinalizers, 0),
		},
		{
			"whose pod somebody else is deleting is waited for",
			[]edit{listed(time.Hour), pods(other(now), leftover(func(p *recovery.Pod) { p.Deleting = true }))},
			time.Hour,
			want{specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for cilium-old to end, which is being deleted", 0},
		},
		{
			"whose pod is on its way out beside a Ready one is recovered",
			[]edit{
				pods(leftover(func(p *recovery.Pod) { p.Deleting = true }), replacement(true, "Running")),
				record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Phase, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now })),
			},
			time.Second, settles(12 * time.Second),
		},
		{
			"whose replacement vanishes before the node has recovered is replacing again",
			[]edit{listed(time.Hour), pods(other(now)), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Hour), now
				rec.Replacement = "cilium-new"
			}))},
			time.Second, awaits(time.Second + 2*time.Minute),
		},
		{
			"whose replacement fails as somebody deletes it is replacing again",
			[]edit{
				listed(time.Hour), pods(other(now), podOf("cilium", "cilium-new", sinceBoot(time.Second), func(p *recovery.Pod) { p.Deleting = true })),
				record(attempted(func(rec *specs.DaemonSetRecovery) {
					rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Hour), now
					rec.Replacement = "cilium-new"
				})),
			},
			time.Second, awaits(time.Second + 2*time.Minute),
		},
		{
			"whose replacement never was Ready and vanishes is waited for anew",
			[]edit{listed(time.Hour), pods(other(now)), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt = specs.DaemonSetPhaseReplacing, now.Add(-time.Hour)
				rec.Replacement, rec.ReplacementStatus = "cilium-new", "Pending: ImagePullBackOff"
			}))},
			0, awaits(2 * time.Minute),
		},
		{
			"whose replacement stops being Ready before the node has recovered is replacing again",
			[]edit{pods(replacement(false, "Running, not Ready")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Minute), now
			}))},
			time.Second, isReplacedBy("Running, not Ready"),
		},
		{
			"with an evicted pod beside a Ready one stays recovered",
			[]edit{
				pods(replacement(true, "Running"), podOf("cilium", "cilium-evicted", because("Evicted"), sinceBoot(time.Second))),
				record(attempted(func(rec *specs.DaemonSetRecovery) {
					rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now, now
				})),
			},
			time.Second, settles(12 * time.Second),
		},
		{
			"whose finalizers let go is replacing",
			[]edit{record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Phase, rec.LastError = specs.DaemonSetPhaseBlocked, "held" }))},
			0, awaits(2 * time.Minute),
		},
		{
			"whose only living pod is that of an older DaemonSet of its name has no replacement",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.UID, rec.FailedPodCreatedAt = "uid-newer", now.Add(-5*time.Second)
				rec.Phase, rec.DeletedAt = specs.DaemonSetPhaseReplacing, now
			}))},
			0, awaits(2 * time.Minute),
		},
		{
			"that was deleted and created again has the new one's pod for a replacement",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.UID, rec.Phase, rec.DeletedAt = "uid-older", specs.DaemonSetPhaseReplacing, now.Add(-time.Second)
			}))},
			0, settles(12 * time.Second),
		},
		{
			"whose only living pod is being deleted has no replacement",
			[]edit{
				pods(podOf("cilium", "cilium-new", sinceBoot(time.Second), func(p *recovery.Pod) { p.Failed, p.Ready, p.Deleting = false, true, true })),
				record(deleted(0)),
			},
			0, awaits(2 * time.Minute),
		},
		{
			"without a replacement is waited for anew after an outage of the API server",
			[]edit{listed(time.Minute), pods(other(now)), record(deleted(time.Hour))},
			0, awaits(time.Minute),
		},
		{
			"with a replacement that is not Ready is replacing and says why",
			[]edit{pods(replacement(false, "Pending: ImagePullBackOff")), record(deleted(10 * time.Second))},
			0, isReplacedBy("Pending: ImagePullBackOff"),
		},
		{
			"with a Ready replacement is recovered, and the node a settle time later",
			[]edit{pods(replacement(true, "Running")), record(deleted(10 * time.Second))},
			0, settles(12 * time.Second),
		},
		{
			"that stayed recovered for the settle time makes the node recovered",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Second), now
			}))},
			12 * time.Second,
			want{specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovered, "DaemonSets: 1 recovered", 0},
		},
		{
			"without a replacement waits on if only the DaemonSet controller of another group lives",
			[]edit{
				listed(time.Hour), record(deleted(2 * time.Minute)),
				pods(func() recovery.Pod { p := other(now); p.Owner.Group = "apps.kruise.io"; return p }()),
			},
			3 * time.Minute, asksForTheController(13 * time.Minute),
		},
		{
			"without a replacement after two minutes says where to look if another DaemonSet got a pod since",
			[]edit{listed(time.Hour), pods(other(now.Add(-2*time.Minute + time.Second))), record(deleted(2 * time.Minute))},
			0,
			want{specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": no pod has replaced cilium-old, though other DaemonSets have created theirs: " +
				`"kubectl -n kube-system describe daemonset cilium" may tell why`, 3 * time.Minute},
		},
		{
			"without a replacement after five minutes is released if another DaemonSet got a pod since",
			[]edit{listed(time.Hour), pods(other(now.Add(-2*time.Minute + time.Second))), record(deleted(2 * time.Minute))},
			3 * time.Minute, releases(3*time.Minute + 12*time.Second),
		},
		{
			"without a replacement after five minutes is released if another got one in the second of the delete",
			[]edit{listed(time.Hour), pods(other(now.Add(-2 * time.Minute))), record(deleted(2*time.Minute - 300*time.Millisecond))},
			3*time.Minute + 300*time.Millisecond, releases(3*time.Minute + 300*time.Millisecond + 12*time.Second),
		},
		{
			"without a replacement after two minutes waits on if nothing shows that the controller lives",
			[]edit{listed(time.Hour), pods(other(booted.Add(-2 * time.Minute))), record(deleted(2 * time.Minute))},
			time.Minute, asksForTheController(13 * time.Minute),
		},
		{
			"without a replacement after fifteen minutes is released all the same",
			[]edit{listed(time.Hour), record(deleted(2 * time.Minute))},
			13 * time.Minute, releases(13*time.Minute + 12*time.Second),
		},
		{
			"that was released takes a late replacement",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseReleased, now.Add(-time.Hour), now.Add(-time.Minute)
			}))},
			0, settles(12 * time.Second),
		},
		{
			"whose Ready pod another one has replaced names that one",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Minute), now.Add(-time.Second)
				rec.Replacement = "cilium-before"
			}))},
			0, settles(11 * time.Second),
		},
	})
}

// Each of the groups has a controller of its own, which knows nothing of the other's DaemonSets.
func TestTwoDaemonSetsOfOneNameAreTwo(t *testing.T) {
	t.Parallel()

	ofKruise := func(p *recovery.Pod) {
		p.Owner.Group, p.Owner.UID, p.UID = "apps.kruise.io", "uid-kruise", "uid-kruise-pod"
	}
	f := facts(pods(replacement(true, "Running"), leftover(ofKruise)), record(deleted(time.Second)))
	decision := recovery.Plan(f, now)

	require.Len(t, decision.DaemonSets, 2)
	assert.Equal(t, specs.DaemonSetPhaseRecovered, decision.DaemonSets[id].Phase)
	assert.Equal(t, specs.DaemonSetPhasePending, decision.DaemonSets["kube-system/apps.kruise.io/cilium"].Phase)
	assert.Len(t, deletes(decision), 1)
	assert.Equal(t, specs.PhaseRecovering, decision.Status.Phase)
}

func TestTheCommandThatTellsWhyNoPodCameNamesTheGroup(t *testing.T) {
	t.Parallel()

	rec := deleted(3 * time.Minute)
	rec.APIGroup = "apps.kruise.io"
	lives := other(now)
	lives.Owner.Group = rec.APIGroup

	decision := recovery.Plan(facts(listed(time.Hour), pods(lives), recordOf("kube-system/apps.kruise.io/cilium", rec)), now)

	assert.Contains(t, decision.Status.Message, `"kubectl -n kube-system describe daemonset.apps.kruise.io cilium"`)
}

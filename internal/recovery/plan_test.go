// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestTheGateIsClosedWhile(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name     string
		edit     edit
		obstacle recovery.Obstacle
		phase    specs.Phase
		message  string
		connect  bool
	}{
		{
			"the machine does not register a node",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{SkipNodeRegistration: true} }),
			recovery.ObstacleDisabled, specs.PhaseDisabled, "this machine does not register a Kubernetes node", false,
		},
		{
			"the machine has booted without a name and without a kubelet",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{Stage: "running", InService: true, Booted: true} }),
			recovery.ObstacleDisabled, specs.PhaseDisabled, "this machine runs without Kubernetes", false,
		},
		{
			"the machine has booted and loses its name while its kubelet is being restarted",
			func(f *recovery.Facts) {
				f.Gate = recovery.Gate{Stage: "running", InService: true, Booted: true}
				f.Status.NodeName = node
			},
			recovery.ObstacleNodename, specs.PhaseWaiting, "waiting for the node's name", false,
		},
		{
			"the machine has booted without a name and with a kubelet",
			gate(func(g *recovery.Gate) {
				*g = recovery.Gate{Stage: "running", InService: true, Booted: true, KubeletRunning: true}
			}),
			recovery.ObstacleNodename, specs.PhaseWaiting, "waiting for the node's name", false,
		},
		{
			"the machine still boots without a name and without a kubelet",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{Stage: "booting", InService: true} }),
			recovery.ObstacleNodename, specs.PhaseWaiting, "waiting for the node's name", false,
		},
		{
			"the machine has booted and its kubelet is being restarted",
			gate(func(g *recovery.Gate) {
				*g = recovery.Gate{Stage: "running", InService: true, Booted: true, NodeName: node}
			}),
			recovery.ObstacleKubeletStopped, specs.PhaseWaiting, "waiting for the kubelet to run", false,
		},
		{
			"the boot id cannot be read",
			func(f *recovery.Facts) { f.Boot = recovery.Boot{Error: "failed to read boot id"} },
			recovery.ObstacleBoot, specs.PhaseWaiting, "failed to read boot id", false,
		},
		{
			"the boot id is empty, even if the node's is as well",
			func(f *recovery.Facts) { f.Boot, f.Link.Node.BootID = recovery.Boot{}, "" },
			recovery.ObstacleBoot, specs.PhaseWaiting, "waiting for this boot's id", false,
		},
		{
			"a shutdown has begun, though the kubelet is still healthy",
			gate(func(g *recovery.Gate) { g.LifecycleTearingDown = true }),
			recovery.ObstacleShutdown, specs.PhaseWaiting, "the kubelet is being shut down", false,
		},
		{
			"nothing is known about the machine",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{} }),
			recovery.ObstacleStage, specs.PhaseWaiting, "waiting for the machine's stage", false,
		},
		{
			"the machine is rebooting",
			gate(func(g *recovery.Gate) { g.Stage, g.InService = "rebooting", false }),
			recovery.ObstacleStage, specs.PhaseWaiting, "the machine is rebooting", false,
		},
		{
			"the node has no name yet",
			gate(func(g *recovery.Gate) { g.NodeName = "" }),
			recovery.ObstacleNodename, specs.PhaseWaiting, "waiting for the node's name", false,
		},
		{
			"the kubelet does not run",
			gate(func(g *recovery.Gate) { g.KubeletRunning, g.KubeletHealthy = false, false }),
			recovery.ObstacleKubeletStopped, specs.PhaseWaiting, "waiting for the kubelet to run", false,
		},
		{
			"the kubelet is not healthy",
			gate(func(g *recovery.Gate) { g.KubeletHealthy = false }),
			recovery.ObstacleKubeletUnhealthy, specs.PhaseWaiting, "waiting for the kubelet to be healthy", false,
		},
		{
			"the kubelet has no lifecycle",
			gate(func(g *recovery.Gate) { g.LifecyclePresent = false }),
			recovery.ObstacleLifecycle, specs.PhaseWaiting, "waiting for the kubelet's lifecycle", false,
		},
		{
			"the API server cannot be reached",
			link(func(l *recovery.Link) { *l = recovery.Link{Error: "failed to read node: connection refused"} }),
			recovery.ObstacleLink, specs.PhaseWaiting, "failed to read node: connection refused", true,
		},
		{
			"the node object was not read yet",
			link(func(l *recovery.Link) { *l = recovery.Link{} }),
			recovery.ObstacleNodeUnread, specs.PhaseWaiting, `reading node "worker-1"`, true,
		},
		{
			"the node object is that of the boot before",
			link(func(l *recovery.Link) { l.Node.BootID = "another" }),
			recovery.ObstacleNotRegistered, specs.PhaseWaiting, `waiting for the kubelet to register node "worker-1" in this boot`, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := recovery.Plan(facts(pods(failed(because("NodeShutdown"))), tc.edit), now)

			assert.Equal(t, tc.obstacle, decision.Obstacle)
			assert.Equal(t, tc.phase, decision.Status.Phase)
			assert.Equal(t, tc.message, decision.Status.Message)
			assert.Equal(t, tc.connect, decision.Connect)
			assert.Empty(t, deletes(decision))
			assert.Empty(t, decision.Verdicts)
			assert.Equal(t, tc.obstacle == recovery.ObstacleBoot, !decision.LookAgain.IsZero(), "only a file has to be polled")
		})
	}
}

func TestAPod(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		pod    recovery.Pod
		class  recovery.Class
		action recovery.Action
		reason string
	}{
		{
			"rejected while shutting down is a leftover and deleted at once", failed(because("NodeShutdown")),
			recovery.ClassLeftover, recovery.ActionDelete, "left behind by a shutdown (NodeShutdown)",
		},
		{
			"killed in the shutdown is a leftover and deleted at once", failed(because("Terminated")),
			recovery.ClassLeftover, recovery.ActionDelete, "left behind by a shutdown (Terminated)",
		},
		{
			"killed by an old kubelet is a leftover and deleted at once", failed(because("Shutdown")),
			recovery.ClassLeftover, recovery.ActionDelete, "left behind by a shutdown (Shutdown)",
		},
		{
			"rewritten by the new kubelet keeps its reason and is still a leftover",
			failed(because("Terminated"), func(p *recovery.Pod) { p.KubeletDisrupted, p.Summary = true, "Failed: ContainerStatusUnknown" }),
			recovery.ClassLeftover, recovery.ActionDelete, "left behind by a shutdown (Terminated)",
		},
		{
			"disrupted by the kubelet without a reason is a leftover",
			failed(sinceBoot(time.Second), func(p *recovery.Pod) { p.KubeletDisrupted = true }),
			recovery.ClassLeftover, recovery.ActionDelete, "left behind by a shutdown (TerminationByKubelet)",
		},
		{
			"that started before the boot is a leftover whatever its reason", failed(because("UnexpectedAdmissionError")),
			recovery.ClassLeftover, recovery.ActionDelete, "started before this boot (UnexpectedAdmissionError)",
		},
		{
			"that the kubelet never saw is judged by its creation",
			failed(func(p *recovery.Pod) { p.Started = time.Time{} }),
			recovery.ClassLeftover, recovery.ActionDelete, "started before this boot",
		},
		{
			"rejected for a device is rejected and deleted at once the first time",
			failed(because("UnexpectedAdmissionError"), sinceBoot(50*time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (UnexpectedAdmissionError)",
		},
		{
			"rejected for its node affinity is rejected", failed(because("NodeAffinity"), sinceBoot(time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (NodeAffinity)",
		},
		{
			"rejected for CPU is rejected", failed(because("OutOfcpu"), sinceBoot(time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (OutOfcpu)",
		},
		{
			"rejected for memory is rejected", failed(because("OutOfmemory"), sinceBoot(time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (OutOfmemory)",
		},
		{
			"rejected for the number of pods is rejected", failed(because("OutOfpods"), sinceBoot(time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (OutOfpods)",
		},
		{
			"rejected for an extended resource is rejected", failed(because("OutOfnvidia.com/gpu"), sinceBoot(time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (OutOfnvidia.com/gpu)",
		},
		{
			"rejected for a taint is rejected", failed(because("TaintToleration"), sinceBoot(time.Second)),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (TaintToleration)",
		},
		{
			"rejected for a reason newer than this code is rejected by its message",
			failed(because("BrandNew"), sinceBoot(time.Second), func(p *recovery.Pod) { p.Message = "Pod was rejected: no" }),
			recovery.ClassRejected, recovery.ActionDelete, "rejected by the kubelet in this boot (BrandNew)",
		},
		{
			"evicted in this boot is unrelated, though eviction disrupts like a shutdown",
			failed(because("Evicted"), sinceBoot(time.Second), func(p *recovery.Pod) { p.KubeletDisrupted = true }),
			recovery.ClassUnrelated, recovery.ActionKeep, "failed in this boot for another reason (Evicted)",
		},
		{
			"preempted in this boot is unrelated", failed(because("Preempting"), sinceBoot(time.Second)),
			recovery.ClassUnrelated, recovery.ActionKeep, "failed in this boot for another reason (Preempting)",
		},
		{
			"past its deadline in this boot is unrelated", failed(because("DeadlineExceeded"), sinceBoot(time.Second)),
			recovery.ClassUnrelated, recovery.ActionKeep, "failed in this boot for another reason (DeadlineExceeded)",
		},
		{
			"failed in this boot without a reason is unrelated", failed(sinceBoot(time.Second)),
			recovery.ClassUnrelated, recovery.ActionKeep, "failed in this boot for another reason",
		},
		{
			"that has not failed is alive", failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Failed = false }),
			recovery.ClassAlive, recovery.ActionKeep, "has not failed",
		},
		{
			"of another node is foreign", failed(because("NodeShutdown"), func(p *recovery.Pod) { p.NodeName = "worker-2" }),
			recovery.ClassForeign, recovery.ActionKeep, "bound to another node (worker-2)",
		},
		{
			"without a controller is foreign", failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Owner = recovery.Owner{} }),
			recovery.ClassForeign, recovery.ActionKeep, "not controlled by a DaemonSet",
		},
		{
			"of a Job is foreign",
			failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Owner.Group, p.Owner.Kind = "batch", "Job" }),
			recovery.ClassForeign, recovery.ActionKeep, "not controlled by a DaemonSet",
		},
		{
			"of a DaemonSet of an unknown group is foreign",
			failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Owner.Group = "example.com" }),
			recovery.ClassForeign, recovery.ActionKeep, "not controlled by a DaemonSet",
		},
		{
			"of OpenKruise's DaemonSet is looked after",
			failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Owner.Group = "apps.kruise.io" }),
			recovery.ClassLeftover, recovery.ActionDelete, "left behind by a shutdown (NodeShutdown)",
		},
		{
			"that mirrors a static pod is foreign", failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Mirror = true }),
			recovery.ClassForeign, recovery.ActionKeep, "mirrors a static pod",
		},
		{
			"that opted out is left alone", failed(because("NodeShutdown"), func(p *recovery.Pod) { p.OptedOut = true }),
			recovery.ClassOptedOut, recovery.ActionKeep, "opted out by annotation recovery.talos.dev/skip",
		},
		{
			"that is being deleted already is left alone",
			failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Deleting = true }),
			recovery.ClassDeleting, recovery.ActionKeep, "left behind by a shutdown (NodeShutdown); is being deleted already",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := recovery.Plan(facts(pods(tc.pod)), now)
			require.Len(t, decision.Verdicts, 1)

			verdict := decision.Verdicts[0]
			assert.Equal(t, tc.class, verdict.Class, describe(verdict))
			assert.Equal(t, tc.action, verdict.Action, describe(verdict))
			assert.Equal(t, tc.reason, verdict.Reason)
		})
	}
}

func TestADaemonSet(t *testing.T) {
	t.Parallel()

	rejected := failed(because("UnexpectedAdmissionError"), sinceBoot(time.Minute))
	held := failed(because("NodeShutdown"), func(p *recovery.Pod) {
		p.Deleting, p.Finalizers = true, []string{"example.com/a", "example.com/b"}
	})
	first := specs.DaemonSetRecovery{}

	for _, tc := range []struct {
		name    string
		edits   []edit
		after   time.Duration // how much later than now
		phase   specs.DaemonSetPhase
		deletes int
		node    specs.Phase
		message string
		again   time.Duration // LookAgain, counted from now; 0 for never
	}{
		{
			"with a leftover is pending, and its pod is deleted",
			[]edit{pods(failed(because("NodeShutdown")))},
			0,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (NodeShutdown)", 0,
		},
		{
			"whose pod is being deleted is not deleted twice",
			[]edit{pods(failed(because("NodeShutdown"))), record(attempted(nil)), func(f *recovery.Facts) { f.InFlight = map[string]bool{"uid-old": true} }},
			0,
			specs.DaemonSetPhasePending, 0, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (NodeShutdown)", 0,
		},
		{
			"whose delete succeeded is replacing, even while the pod can still be seen",
			[]edit{pods(failed(because("NodeShutdown"))), record(attempted(nil)), outcome(recovery.ResultDeleted, "")},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 30 * time.Second,
		},
		{
			"whose delete succeeded is deleted once more if the pod is still there half a minute later",
			[]edit{pods(failed(because("NodeShutdown"))), record(deleted(0))},
			30 * time.Second,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (NodeShutdown)", 0,
		},
		{
			"whose pod somebody else deleted first is replacing",
			[]edit{record(attempted(nil)), outcome(recovery.ResultGone, "")},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"whose pod vanished while the delete was not yet due is replacing",
			[]edit{record(specs.DaemonSetRecovery{UID: "uid-cilium", FailedPod: "cilium-old", FailedPodUID: "uid-old", NextAttemptAt: now.Add(time.Hour)})},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"whose delete was refused is blocked with the server's words and tried again later",
			[]edit{pods(failed(because("NodeShutdown"))), record(attempted(nil)), outcome(recovery.ResultRefused, "pods is forbidden")},
			0,
			specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded, id + ": cannot delete cilium-old: pods is forbidden", 5 * time.Second,
		},
		{
			"whose delete is refused again and again waits longer each time",
			[]edit{
				pods(failed(because("NodeShutdown"))), outcome(recovery.ResultRefused, "no"),
				record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Failures = 3 })),
			},
			0,
			specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded, id + ": cannot delete cilium-old: no", 40 * time.Second,
		},
		{
			"that is blocked stays so while the delete is tried again",
			[]edit{pods(failed(because("NodeShutdown"))), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.Failures, rec.LastError, rec.NextAttemptAt = specs.DaemonSetPhaseBlocked, 1, "no", now
			}))},
			0,
			specs.DaemonSetPhaseBlocked, 1, specs.PhaseDegraded, id + ": cannot delete cilium-old: no", 0,
		},
		{
			"whose delete failed is pending with the error and tried again soon",
			[]edit{pods(failed(because("NodeShutdown"))), record(attempted(nil)), outcome(recovery.ResultFailed, "timeout")},
			0,
			specs.DaemonSetPhasePending, 0, specs.PhaseRecovering, id + ": failed to delete cilium-old: timeout", time.Second,
		},
		{
			"whose delete has failed three times in a row is blocked with the words, and tried again",
			[]edit{
				pods(failed(because("NodeShutdown"))), outcome(recovery.ResultFailed, "failed calling webhook"),
				record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Failures, rec.LastError = 2, "failed calling webhook" })),
			},
			0,
			specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded,
			id + ": cannot delete cilium-old: failed calling webhook", 4 * time.Second,
		},
		{
			"that is blocked stays so if the next try fails in another way",
			[]edit{
				pods(failed(because("NodeShutdown"))), outcome(recovery.ResultFailed, "timeout"),
				record(attempted(func(rec *specs.DaemonSetRecovery) {
					rec.Phase, rec.Failures, rec.LastError = specs.DaemonSetPhaseBlocked, 1, "no"
				})),
			},
			0,
			specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded, id + ": cannot delete cilium-old: timeout", 2 * time.Second,
		},
		{
			"whose delete was abandoned when the gate closed is tried again, but not at once",
			[]edit{pods(failed(because("NodeShutdown"))), record(attempted(nil)), outcome(recovery.ResultAbandoned, "")},
			0,
			specs.DaemonSetPhasePending, 0, specs.PhaseRecovering,
			id + ": cilium-old is Failed (NodeShutdown); to be deleted at 03:01:01", time.Second,
		},
		{
			"whose pod is held by finalizers is blocked",
			[]edit{pods(held), record(deleted(time.Second))},
			0,
			specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded,
			id + `: cannot delete cilium-old: pod "cilium-old" is held by finalizers: example.com/a, example.com/b`, 0,
		},
		{
			"whose finalizers let go after an hour has its replacement waited for from then on",
			[]edit{listed(2 * time.Hour), pods(other(now)), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.LastError, rec.Deleted = specs.DaemonSetPhaseBlocked, "held", 1
			}))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"whose pod is held by finalizers is blocked even beside a Ready one",
			[]edit{pods(held, replacement(true, "Running")), record(deleted(time.Second))},
			0,
			specs.DaemonSetPhaseBlocked, 0, specs.PhaseDegraded,
			id + `: cannot delete cilium-old: pod "cilium-old" is held by finalizers: example.com/a, example.com/b`, 0,
		},
		{
			"whose pod somebody else is deleting is waited for",
			[]edit{listed(time.Hour), pods(other(now), failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Deleting = true }))},
			time.Hour,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for cilium-old to end, which is being deleted", 0,
		},
		{
			"whose pod is on its way out beside a Ready one is recovered",
			[]edit{
				pods(failed(because("NodeShutdown"), func(p *recovery.Pod) { p.Deleting = true }), replacement(true, "Running")),
				record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Phase, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now })),
			},
			time.Second,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"whose replacement vanishes before the node has recovered is replacing again",
			[]edit{listed(time.Hour), pods(other(now)), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Hour), now
				rec.Replacement = "cilium-new"
			}))},
			time.Second,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering,
			id + ": waiting for the replacement of cilium-old", time.Second + 2*time.Minute,
		},
		{
			"whose replacement never was Ready and vanishes is waited for anew",
			[]edit{listed(time.Hour), pods(other(now)), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt = specs.DaemonSetPhaseReplacing, now.Add(-time.Hour)
				rec.Replacement, rec.ReplacementStatus = "cilium-new", "Pending: ImagePullBackOff"
			}))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering,
			id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"whose replacement stops being Ready before the node has recovered is replacing again",
			[]edit{pods(replacement(false, "Running, not Ready")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Minute), now
			}))},
			time.Second,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": replacement cilium-new is Running, not Ready", 0,
		},
		{
			"with an evicted pod beside a Ready one stays recovered",
			[]edit{
				pods(replacement(true, "Running"), podOf("cilium", "cilium-evicted", because("Evicted"), sinceBoot(time.Second))),
				record(attempted(func(rec *specs.DaemonSetRecovery) {
					rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now, now
				})),
			},
			time.Second,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"whose finalizers let go is replacing",
			[]edit{record(attempted(func(rec *specs.DaemonSetRecovery) { rec.Phase, rec.LastError = specs.DaemonSetPhaseBlocked, "held" }))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"whose only living pod is that of an older DaemonSet of its name has no replacement",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.UID, rec.FailedPodCreatedAt = "uid-newer", now.Add(-5*time.Second)
				rec.Phase, rec.DeletedAt = specs.DaemonSetPhaseReplacing, now
			}))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"that was deleted and created again has the new one's pod for a replacement",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.UID, rec.Phase, rec.DeletedAt = "uid-older", specs.DaemonSetPhaseReplacing, now.Add(-time.Second)
			}))},
			0,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"whose only living pod is being deleted has no replacement",
			[]edit{
				pods(podOf("cilium", "cilium-new", sinceBoot(time.Second), func(p *recovery.Pod) { p.Failed, p.Ready, p.Deleting = false, true, true })),
				record(deleted(0)),
			},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"without a replacement is waited for anew after an outage of the API server",
			[]edit{listed(time.Minute), pods(other(now)), record(deleted(time.Hour))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", time.Minute,
		},
		{
			"with a replacement that is not Ready is replacing and says why",
			[]edit{pods(replacement(false, "Pending: ImagePullBackOff")), record(deleted(10 * time.Second))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": replacement cilium-new is Pending: ImagePullBackOff", 0,
		},
		{
			"with a Ready replacement is recovered, and the node a settle time later",
			[]edit{pods(replacement(true, "Running")), record(deleted(10 * time.Second))},
			0,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"that stayed recovered for the settle time makes the node recovered",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Second), now
			}))},
			10 * time.Second,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovered, "DaemonSets: 1 recovered", 0,
		},
		{
			"without a replacement waits on if only the DaemonSet controller of another group lives",
			[]edit{
				listed(time.Hour), record(deleted(2 * time.Minute)),
				pods(func() recovery.Pod { p := other(now); p.Owner.Group = "apps.kruise.io"; return p }()),
			},
			3 * time.Minute,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering,
			id + ": no pod has replaced cilium-old, and no DaemonSet has created one here since: is kube-controller-manager running?",
			13 * time.Minute,
		},
		{
			"without a replacement after two minutes says where to look if another DaemonSet got a pod since",
			[]edit{listed(time.Hour), pods(other(now.Add(-2*time.Minute + time.Second))), record(deleted(2 * time.Minute))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering,
			id + ": no pod has replaced cilium-old, though other DaemonSets have created theirs: " +
				`"kubectl -n kube-system describe daemonset cilium" may tell why`, 3 * time.Minute,
		},
		{
			"without a replacement after five minutes is released if another DaemonSet got a pod since",
			[]edit{listed(time.Hour), pods(other(now.Add(-2*time.Minute + time.Second))), record(deleted(2 * time.Minute))},
			3 * time.Minute,
			specs.DaemonSetPhaseReleased, 0, specs.PhaseRecovering,
			"DaemonSets: 1 did not come back (" + id + "); watching until nothing fails for 10s", 3*time.Minute + 10*time.Second,
		},
		{
			"without a replacement after two minutes waits on if nothing shows that the controller lives",
			[]edit{listed(time.Hour), pods(other(booted.Add(-2 * time.Minute))), record(deleted(2 * time.Minute))},
			time.Minute,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering,
			id + ": no pod has replaced cilium-old, and no DaemonSet has created one here since: is kube-controller-manager running?",
			13 * time.Minute,
		},
		{
			"without a replacement after fifteen minutes is released all the same",
			[]edit{listed(time.Hour), record(deleted(2 * time.Minute))},
			13 * time.Minute,
			specs.DaemonSetPhaseReleased, 0, specs.PhaseRecovering,
			"DaemonSets: 1 did not come back (" + id + "); watching until nothing fails for 10s", 13*time.Minute + 10*time.Second,
		},
		{
			"that was released takes a late replacement",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseReleased, now.Add(-time.Hour), now.Add(-time.Minute)
			}))},
			0,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"whose Ready pod another one has replaced names that one",
			[]edit{pods(replacement(true, "Running")), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = specs.DaemonSetPhaseRecovered, now.Add(-time.Minute), now.Add(-time.Second)
				rec.Replacement = "cilium-before"
			}))},
			0,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 9 * time.Second,
		},
		{
			"rejected for the first time is deleted at once",
			[]edit{pods(rejected), record(first)},
			0,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (UnexpectedAdmissionError)", 0,
		},
		{
			"rejected for the second time waits a second",
			[]edit{pods(rejected), record(rejections(1))},
			0,
			specs.DaemonSetPhasePending, 0, specs.PhaseRecovering,
			id + ": cilium-old is Failed (UnexpectedAdmissionError); to be deleted at 03:01:01", time.Second,
		},
		{
			"rejected for the second time is deleted after that second",
			[]edit{pods(rejected), record(rejections(1))},
			time.Second,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (UnexpectedAdmissionError)", 0,
		},
		{
			"rejected for the tenth time waits 256 seconds",
			[]edit{pods(rejected), record(rejections(9))},
			255 * time.Second,
			specs.DaemonSetPhasePending, 0, specs.PhaseRecovering,
			id + ": cilium-old is Failed (UnexpectedAdmissionError); to be deleted at 03:05:16", 256 * time.Second,
		},
		{
			"rejected for the tenth time is tried again if its delete failed",
			[]edit{pods(rejected), record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Attempts, rec.Rejections, rec.Failures, rec.LastError, rec.NextAttemptAt = 10, 10, 1, "timeout", now
			}))},
			0,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": failed to delete cilium-old: timeout", 0,
		},
		{
			"rejected for the eleventh time is exhausted for good",
			[]edit{pods(rejected), record(rejections(10))},
			time.Hour,
			specs.DaemonSetPhaseExhausted, 0, specs.PhaseDegraded,
			id + ": cilium-old failed again after 10 deletes (UnexpectedAdmissionError); left to the DaemonSet controller", 0,
		},
		{
			"rejected for the eleventh time is recovered beside a Ready pod, as maxSurge gives it",
			[]edit{pods(rejected, replacement(true, "Running")), record(rejections(10))},
			0,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"with a leftover beside a pod that was handed back has the leftover deleted",
			[]edit{
				pods(rejected, podOf("cilium", "cilium-left", because("Terminated"))),
				record(func() specs.DaemonSetRecovery {
					rec := rejections(10)
					rec.Phase, rec.FailedPodUID, rec.AttemptedAt = specs.DaemonSetPhaseExhausted, rejected.UID, time.Time{}

					return rec
				}()),
			},
			time.Hour,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-left, which is Failed (Terminated)", 0,
		},
		{
			"rejected for the eleventh time is exhausted beside a pod that is not Ready",
			[]edit{pods(rejected, replacement(false, "Pending")), record(rejections(10))},
			0,
			specs.DaemonSetPhaseExhausted, 0, specs.PhaseDegraded,
			id + ": cilium-old failed again after 10 deletes (UnexpectedAdmissionError); left to the DaemonSet controller", 0,
		},
		{
			"with the eleventh leftover has it deleted at once",
			[]edit{pods(failed(because("Terminated"))), record(leftovers(10))},
			0,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (Terminated)", 0,
		},
		{
			"with the hundred and first leftover has it deleted a second after the one before",
			[]edit{pods(failed(because("Terminated"))), record(leftovers(100))},
			0,
			specs.DaemonSetPhasePending, 0, specs.PhaseRecovering,
			id + ": cilium-old is Failed (Terminated); to be deleted at 03:01:01", time.Second,
		},
		{
			"with the thousandth leftover has it deleted all the same",
			[]edit{pods(failed(because("Terminated"))), record(leftovers(999))},
			time.Second,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (Terminated)", 0,
		},
		{
			"that was exhausted recovers when the DaemonSet controller got it through",
			[]edit{pods(replacement(true, "Running")), record(func() specs.DaemonSetRecovery {
				rec := rejections(10)
				rec.Phase, rec.AttemptedAt, rec.DeletedAt = specs.DaemonSetPhaseExhausted, time.Time{}, time.Time{}

				return rec
			}())},
			0,
			specs.DaemonSetPhaseRecovered, 0, specs.PhaseRecovering,
			"DaemonSets: 1 recovered; watching until nothing fails for 10s", 10 * time.Second,
		},
		{
			"that shuts its pods down over and over without a reboot is exhausted as well",
			[]edit{pods(failed(because("NodeShutdown"), sinceBoot(time.Minute))), record(rejections(10))},
			time.Hour,
			specs.DaemonSetPhaseExhausted, 0, specs.PhaseDegraded,
			id + ": cilium-old failed again after 10 deletes (NodeShutdown); left to the DaemonSet controller", 0,
		},
		{
			"with a leftover is deleted at once however often its pods were rejected",
			[]edit{pods(failed(because("NodeShutdown"))), record(rejections(10))},
			0,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (NodeShutdown)", 0,
		},
		{
			"that opted out is skipped and holds nothing up",
			[]edit{pods(failed(because("NodeShutdown"), func(p *recovery.Pod) { p.OptedOut = true }))},
			10 * time.Second,
			specs.DaemonSetPhaseSkipped, 0, specs.PhaseRecovered, "DaemonSets: 1 opted out", 0,
		},
		{
			"with an evicted pod is unrelated and holds nothing up",
			[]edit{pods(failed(because("Evicted"), sinceBoot(time.Second)))},
			10 * time.Second,
			specs.DaemonSetPhaseUnrelated, 0, specs.PhaseRecovered, "DaemonSets: 1 failed for another reason", 0,
		},
		{
			"whose replacement was evicted is unrelated from then on",
			[]edit{pods(podOf("cilium", "cilium-new", because("Evicted"), sinceBoot(time.Second))), record(deleted(time.Second))},
			10 * time.Second,
			specs.DaemonSetPhaseUnrelated, 0, specs.PhaseRecovered, "DaemonSets: 1 failed for another reason", 0,
		},
		{
			"whose evicted pod is gone is followed again, as its pods were ours once",
			[]edit{record(attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.AttemptedAt = specs.DaemonSetPhaseUnrelated, time.Time{}
			}))},
			0,
			specs.DaemonSetPhaseReplacing, 0, specs.PhaseRecovering, id + ": waiting for the replacement of cilium-old", 2 * time.Minute,
		},
		{
			"with two Failed pods has them deleted one after the other",
			[]edit{pods(failed(because("NodeShutdown")), podOf("cilium", "cilium-other", because("Terminated"), sinceBoot(-time.Minute)))},
			0,
			specs.DaemonSetPhasePending, 1, specs.PhaseRecovering, id + ": deleting cilium-old, which is Failed (NodeShutdown)", 0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := recovery.Plan(facts(tc.edits...), now.Add(tc.after))
			require.Contains(t, decision.DaemonSets, id)

			assert.Equal(t, tc.phase, decision.DaemonSets[id].Phase)
			assert.Len(t, deletes(decision), tc.deletes)
			assert.Equal(t, tc.node, decision.Status.Phase)
			assert.Equal(t, tc.message, decision.Status.Message)

			if tc.phase == specs.DaemonSetPhaseRecovered {
				assert.Equal(t, "cilium-new", decision.DaemonSets[id].Replacement)
				assert.Equal(t, "uid-cilium", decision.DaemonSets[id].UID)
			}

			var again time.Time
			if tc.again != 0 {
				again = now.Add(tc.again)
			}

			assert.Equal(t, again, decision.LookAgain)
		})
	}
}

// Each of the groups has a controller of its own, which knows nothing of the other's DaemonSets.
func TestTwoDaemonSetsOfOneNameAreTwo(t *testing.T) {
	t.Parallel()

	ofKruise := func(p *recovery.Pod) {
		p.Owner.Group, p.Owner.UID, p.UID = "apps.kruise.io", "uid-kruise", "uid-kruise-pod"
	}
	f := facts(pods(replacement(true, "Running"), failed(because("NodeShutdown"), ofKruise)), record(deleted(time.Second)))
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

func TestAnOutcomeThatComesAfterThePodIsKnownToBeGoneIsCountedOnly(t *testing.T) {
	t.Parallel()

	for name, phase := range map[string]specs.DaemonSetPhase{
		"recovered": specs.DaemonSetPhaseRecovered, "released": specs.DaemonSetPhaseReleased, "replacing": specs.DaemonSetPhaseReplacing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			was := attempted(func(rec *specs.DaemonSetRecovery) {
				rec.Phase, rec.DeletedAt, rec.FinishedAt = phase, now.Add(-time.Second), now.Add(-time.Second)
			})
			f := facts(record(was), recovered(), outcome(recovery.ResultDeleted, ""))
			want := was
			want.Deleted = 1

			if phase == specs.DaemonSetPhaseReplacing {
				underWay()(&f)

				want.FinishedAt = time.Time{}
			}

			decision := recovery.Plan(f, now)
			assert.Equal(t, want, decision.DaemonSets[id])
			assert.Equal(t, 1, decision.Status.Counts.Deleted)
		})
	}
}

// A DaemonSet with maxSurge can leave any number of pods behind in one shutdown.
func TestAllLeftoversAreDeletedTheLaterOnesSlowly(t *testing.T) {
	t.Parallel()

	const left = 130

	f := facts(underWay())
	for i := range left {
		f.Link.Pods = append(f.Link.Pods, podOf("cilium", fmt.Sprintf("cilium-%03d", i), because("NodeShutdown")))
	}

	at, deleted := now, 0

	for deleted < left {
		decision := recovery.Plan(f, at)
		f.Status, f.DaemonSets, f.Outcomes = decision.Status, decision.DaemonSets, nil

		for _, pod := range deletes(decision) {
			deleted++
			f.Link.Pods = slices.DeleteFunc(f.Link.Pods, func(p recovery.Pod) bool { return p.UID == pod.UID })
			f.Outcomes = append(f.Outcomes, recovery.Outcome{DaemonSet: id, PodUID: pod.UID})
		}

		if len(f.Outcomes) == 0 {
			require.True(t, decision.LookAgain.After(at), "nothing is deleted and nothing is waited for: %s", decision.Status.Message)
			at = decision.LookAgain
		}
	}

	assert.Equal(t, now.Add((left-recovery.LeftoverBurst)*time.Second), at)
	assert.Equal(t, left, f.DaemonSets[id].Attempts)
}

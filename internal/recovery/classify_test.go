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
)

func TestTheReasonOfAFailureTellsWhatAPodIs(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		pod     func(*recovery.Pod)
		reasons []string
		class   recovery.Class
		words   string
	}{
		{
			sinceBoot(-time.Hour),
			[]string{"NodeShutdown", "Terminated", "Shutdown"},
			recovery.ClassLeftover, "left behind by a shutdown",
		},
		{
			sinceBoot(time.Second),
			[]string{
				"UnexpectedAdmissionError", "NodeAffinity", "TaintToleration",
				"OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfnvidia.com/gpu",
			},
			recovery.ClassRejected, "rejected by the kubelet in this boot",
		},
		{
			sinceBoot(time.Second),
			[]string{"Evicted", "Preempting", "DeadlineExceeded"},
			recovery.ClassUnrelated, "failed in this boot for another reason",
		},
	} {
		for _, reason := range tc.reasons {
			t.Run(reason, func(t *testing.T) {
				t.Parallel()

				testPod(t, failed(because(reason), tc.pod), tc.class, tc.words+" ("+reason+")")
			})
		}
	}
}

// testPod is about the verdict on a pod; none is put off.
func testPod(t *testing.T, pod recovery.Pod, class recovery.Class, reason string) {
	t.Helper()

	decision := recovery.Plan(facts(pods(pod)), now)
	require.Len(t, decision.Verdicts, 1)

	action := recovery.ActionKeep
	if class == recovery.ClassLeftover || class == recovery.ClassRejected {
		action = recovery.ActionDelete
	}

	assert.Equal(t, recovery.Verdict{Pod: pod, Class: class, Action: action, Reason: reason}, decision.Verdicts[0])
}

func TestAPod(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		pod    recovery.Pod
		class  recovery.Class
		reason string
	}{
		{
			"rewritten by the new kubelet keeps its reason and is still a leftover",
			failed(because("Terminated"), func(p *recovery.Pod) {
				p.KubeletDisrupted, p.DisruptedAt, p.Summary = true, now, "Failed: ContainerStatusUnknown"
			}),
			recovery.ClassLeftover, "left behind by a shutdown (Terminated)",
		},
		{
			"disrupted by the kubelet without a reason is a leftover",
			failed(sinceBoot(time.Second), func(p *recovery.Pod) { p.KubeletDisrupted = true }),
			recovery.ClassLeftover, "left behind by a shutdown (TerminationByKubelet)",
		},
		{
			"that started before the boot is a leftover whatever its reason",
			failed(because("UnexpectedAdmissionError")),
			recovery.ClassLeftover, "started before this boot (UnexpectedAdmissionError)",
		},
		{
			"that the kubelet never saw is judged by its creation",
			failed(func(p *recovery.Pod) { p.Started = time.Time{} }),
			recovery.ClassLeftover, "started before this boot",
		},
		{
			"created in this boot that the kubelet never saw is no leftover",
			failed(sinceBoot(time.Second), func(p *recovery.Pod) { p.Started = time.Time{} }),
			recovery.ClassUnrelated, "failed in this boot for another reason",
		},
		{
			"rejected for a reason newer than this code is rejected by its message",
			failed(because("BrandNew"), sinceBoot(time.Second), func(p *recovery.Pod) { p.Message = "Pod was rejected: no" }),
			recovery.ClassRejected, "rejected by the kubelet in this boot (BrandNew)",
		},
		{
			"evicted in this boot is unrelated, though eviction disrupts like a shutdown",
			failed(because("Evicted"), sinceBoot(time.Second), func(p *recovery.Pod) { p.KubeletDisrupted = true }),
			recovery.ClassUnrelated, "failed in this boot for another reason (Evicted)",
		},
		{
			"failed in this boot without a reason is unrelated",
			failed(sinceBoot(time.Second)),
			recovery.ClassUnrelated, "failed in this boot for another reason",
		},
		{
			"that has not failed is alive",
			leftover(func(p *recovery.Pod) { p.Failed = false }),
			recovery.ClassAlive, "has not failed",
		},
		{
			"of another node is foreign",
			leftover(func(p *recovery.Pod) { p.NodeName = "worker-2" }),
			recovery.ClassForeign, "bound to another node (worker-2)",
		},
		{
			"without a controller is foreign",
			leftover(func(p *recovery.Pod) { p.Owner = recovery.Owner{} }),
			recovery.ClassForeign, "not controlled by a DaemonSet",
		},
		{
			"of a Job is foreign",
			leftover(func(p *recovery.Pod) { p.Owner.Group, p.Owner.Kind = "batch", "Job" }),
			recovery.ClassForeign, "not controlled by a DaemonSet",
		},
		{
			"of a StatefulSet is foreign",
			leftover(func(p *recovery.Pod) { p.Owner.Kind = "StatefulSet" }),
			recovery.ClassForeign, "not controlled by a DaemonSet",
		},
		{
			"of a DaemonSet of an unknown group is foreign",
			leftover(func(p *recovery.Pod) { p.Owner.Group = "example.com" }),
			recovery.ClassForeign, "not controlled by a DaemonSet",
		},
		{
			"of OpenKruise's DaemonSet is looked after",
			leftover(func(p *recovery.Pod) { p.Owner.Group = "apps.kruise.io" }),
			recovery.ClassLeftover, "left behind by a shutdown (NodeShutdown)",
		},
		{
			"that mirrors a static pod is foreign",
			leftover(func(p *recovery.Pod) { p.Mirror = true }),
			recovery.ClassForeign, "mirrors a static pod",
		},
		{
			"that opted out is left alone",
			leftover(func(p *recovery.Pod) { p.OptedOut = true }),
			recovery.ClassOptedOut, "opted out by annotation recovery.talos.dev/skip",
		},
		{
			"that is being deleted already is left alone",
			leftover(func(p *recovery.Pod) { p.Deleting = true }),
			recovery.ClassDeleting, "left behind by a shutdown (NodeShutdown); is being deleted already",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testPod(t, tc.pod, tc.class, tc.reason)
		})
	}
}

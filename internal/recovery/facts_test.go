// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	node = "worker-1"
	boot = "8f0c0a8e-6f0e-4d5e-9a51-5a3b1e0c7d11"
	id   = "kube-system/cilium"
)

var (
	booted = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)
	now    = booted.Add(time.Minute)
)

// edit changes the facts of a case; a case is a list of them.
type edit func(*recovery.Facts)

// facts are those of a node whose gate is open and whose pods are known, a minute after its boot.
func facts(edits ...edit) recovery.Facts {
	f := recovery.Facts{
		Settings: recovery.DefaultSettings(),
		Boot:     recovery.Boot{ID: boot, Time: booted},
		Gate: recovery.Gate{
			KubeletRunning: true, KubeletHealthy: true, LifecyclePresent: true, KubeletStart: "first",
			Stage: "booting", InService: true, NodeName: node,
		},
		Link: recovery.Link{Node: recovery.Node{BootID: boot, ReportedAt: now}, SyncedAt: booted.Add(40 * time.Second)},
	}

	for _, e := range edits {
		e(&f)
	}

	return f
}

func gate(change func(*recovery.Gate)) edit { return func(f *recovery.Facts) { change(&f.Gate) } }

func link(change func(*recovery.Link)) edit { return func(f *recovery.Facts) { change(&f.Link) } }

// listed says how long before now the pods were first listed.
func listed(ago time.Duration) edit {
	return link(func(l *recovery.Link) { l.SyncedAt = now.Add(-ago) })
}

func pods(pods ...recovery.Pod) edit {
	return func(f *recovery.Facts) { f.Link.Pods = append(f.Link.Pods, pods...) }
}

// underWay is what an earlier decision published about the node, after this start of the kubelet.
func underWay() edit {
	return func(f *recovery.Facts) {
		f.Status = specs.RecoveryStatus{
			BootID: boot, NodeName: node, Phase: specs.PhaseRecovering, StartedAt: booted.Add(40 * time.Second),
			BootedAt: booted, LeftoversBefore: booted, KubeletStart: f.Gate.KubeletStart,
		}
	}
}

// record is what an earlier decision published about the DaemonSet.
func record(rec specs.DaemonSetRecovery) edit { return recordOf(id, rec) }

func recordOf(id string, rec specs.DaemonSetRecovery) edit {
	return func(f *recovery.Facts) {
		if f.DaemonSets == nil {
			f.DaemonSets = map[string]specs.DaemonSetRecovery{}
			underWay()(f)
		}

		f.DaemonSets[id] = rec
	}
}

func outcome(result recovery.Result, text string) edit {
	return func(f *recovery.Facts) {
		f.Outcomes = append(f.Outcomes, recovery.Outcome{DaemonSet: id, PodUID: "uid-old", Result: result, Error: text})
	}
}

// attempted is the record of a leftover whose delete was asked for half a minute ago.
func attempted(change func(*specs.DaemonSetRecovery)) specs.DaemonSetRecovery {
	rec := specs.DaemonSetRecovery{
		UID: "uid-cilium", APIGroup: "apps", FailedPod: "cilium-old", FailedPodUID: "uid-old", Reason: "NodeShutdown",
		FailedPodCreatedAt: booted.Add(-time.Hour), Attempts: 1, AttemptedAt: now.Add(-30 * time.Second), BootedAt: booted,
	}

	if change != nil {
		change(&rec)
	}

	return rec
}

// deleted is the record of a leftover that was deleted that long ago.
func deleted(ago time.Duration) specs.DaemonSetRecovery {
	return attempted(func(rec *specs.DaemonSetRecovery) {
		rec.Phase = specs.DaemonSetPhaseReplacing
		rec.Deleted = 1
		rec.DeletedAt = now.Add(-ago)
	})
}

// podOf returns a Failed pod of a DaemonSet, started an hour before the boot.
func podOf(daemonSet, name string, edits ...func(*recovery.Pod)) recovery.Pod {
	pod := recovery.Pod{
		Namespace: "kube-system", Name: name, UID: "uid-" + name, NodeName: node,
		Owner:   recovery.Owner{Group: "apps", Version: "v1", Kind: "DaemonSet", Name: daemonSet, UID: "uid-" + daemonSet},
		Failed:  true,
		Created: booted.Add(-time.Hour), Started: booted.Add(-time.Hour),
	}

	for _, e := range edits {
		e(&pod)
	}

	return pod
}

func failed(edits ...func(*recovery.Pod)) recovery.Pod {
	return podOf("cilium", "cilium-old", append([]func(*recovery.Pod){func(p *recovery.Pod) { p.UID = "uid-old" }}, edits...)...)
}

// leftover is the Failed pod of most tests: the kubelet rejected it while it was shutting down.
func leftover(edits ...func(*recovery.Pod)) recovery.Pod {
	return failed(append([]func(*recovery.Pod){because("NodeShutdown")}, edits...)...)
}

func because(reason string) func(*recovery.Pod) { return func(p *recovery.Pod) { p.Reason = reason } }

// sinceBoot makes the pod one that the kubelet saw first that long after the boot.
func sinceBoot(after time.Duration) func(*recovery.Pod) {
	return func(p *recovery.Pod) { p.Created, p.Started = booted.Add(after), booted.Add(after) }
}

// replacement returns a living pod of the DaemonSet, created after the boot.
func replacement(ready bool, summary string) recovery.Pod {
	return podOf("cilium", "cilium-new", sinceBoot(50*time.Second), func(p *recovery.Pod) {
		p.Failed, p.Ready, p.Summary = false, ready, summary
	})
}

// other returns a living pod of another DaemonSet.
func other(created time.Time) recovery.Pod {
	return podOf("kube-proxy", "kube-proxy-new", func(p *recovery.Pod) {
		p.Failed, p.Ready, p.Created, p.Started = false, true, created, created
	})
}

// rejections is the record of a DaemonSet whose pods the kubelet rejected n times, each deleted.
func rejections(n int) specs.DaemonSetRecovery {
	return specs.DaemonSetRecovery{
		UID: "uid-cilium", FailedPod: "cilium-before", FailedPodUID: "uid-before", Phase: specs.DaemonSetPhaseReplacing,
		Attempts: n, Rejections: n, Deleted: n, AttemptedAt: booted, DeletedAt: booted.Add(time.Duration(n) * time.Millisecond),
	}
}

// leftovers is the record of a DaemonSet of which n pods were left behind, each deleted, the last one just now.
func leftovers(n int) specs.DaemonSetRecovery {
	rec := rejections(0)
	rec.Attempts, rec.Deleted, rec.AttemptedAt, rec.DeletedAt = n, n, now, now

	return rec
}

// deletes returns the pods that are to be deleted now.
func deletes(decision recovery.Decision) []recovery.Pod {
	var pods []recovery.Pod

	for _, verdict := range decision.Verdicts {
		if verdict.Action == recovery.ActionDelete {
			pods = append(pods, verdict.Pod)
		}
	}

	return pods
}

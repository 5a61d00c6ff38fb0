// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// TestNoHistoryLeadsToAForbiddenDelete plays random histories of a node and its API server.
func TestNoHistoryLeadsToAForbiddenDelete(t *testing.T) {
	t.Parallel()

	deleted := 0

	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		deleted += play(t, 60, random.IntN)
	}

	// The property means nothing if hardly anything is ever deleted.
	require.Greater(t, deleted, 1000)
}

// FuzzNoHistoryLeadsToAForbiddenDelete plays the histories that the fuzzer makes up.
func FuzzNoHistoryLeadsToAForbiddenDelete(f *testing.F) {
	f.Add([]byte("a node that reboots"))
	f.Add([]byte{0, 255, 1, 254, 2, 253, 3, 252, 4, 251, 5, 250})

	f.Fuzz(func(t *testing.T, history []byte) {
		at := 0

		play(t, min(len(history)/4, 100), func(n int) int {
			if at == len(history) {
				return 0
			}

			at++

			return int(history[at-1]) % n
		})
	})
}

// play lets a node live for some steps, every choice in them made by choose, and returns the number of deletes.
func play(t *testing.T, steps int, choose func(n int) int) int {
	t.Helper()

	w := &world{choose: choose, now: now, tried: map[string]map[string]bool{}, pods: map[string]recovery.Pod{}, leftovers: map[string]bool{}}
	w.facts = facts()
	w.facts.Settings.RejectionCap = 1 + choose(3)

	deleted := 0

	for range steps {
		w.change()

		decision := w.decide(t)
		w.check(t, decision)

		deleted += len(deletes(decision))
		w.apply(decision)
	}

	w.checkRest(t, w.decide(t))

	return deleted
}

// world is a node, its API server and its DaemonSet controller, none of them well-behaved.
type world struct {
	choose func(n int) int
	now    time.Time
	facts  recovery.Facts
	pods   map[string]recovery.Pod
	made   int
	// tried holds, per DaemonSet, the UIDs of the pods of this boot whose delete was decided.
	tried map[string]map[string]bool
	// leftovers holds the UIDs of those that were shut down on a clock that was ahead.
	leftovers map[string]bool
}

// change lets something happen.
func (w *world) change() {
	w.now = w.now.Add([]time.Duration{0, time.Millisecond, time.Second, time.Minute, 20 * time.Minute}[w.choose(5)])
	w.facts.Outcomes = nil

	switch w.choose(9) {
	case 0, 1, 2, 3:
		pod := w.newPod()
		w.pods[pod.UID] = pod
	case 4:
		if uids := slices.Sorted(maps.Keys(w.pods)); len(uids) > 0 {
			delete(w.pods, uids[w.choose(len(uids))])
		}
	case 5:
		w.finish()
	case 6:
		w.facts.Gate.KubeletHealthy = w.choose(4) > 0
		w.facts.Gate.LifecycleTearingDown = w.choose(8) == 0
	case 7:
		// The controller restarts: what was under way is not remembered.
		w.facts.InFlight = nil
		w.facts.Link.SyncedAt = w.now
	case 8:
		w.restartOrSetClock()
	}
}

// restartOrSetClock lets the kubelet restart, or sets the clock.
func (w *world) restartOrSetClock() {
	if w.choose(2) == 0 {
		w.facts.Gate.KubeletStart = w.now.String()
		w.facts.Link.SyncedAt = w.now

		return
	}

	by := []time.Duration{-time.Hour, -time.Minute, time.Minute, time.Hour}[w.choose(4)]
	w.now = w.now.Add(by)
	w.facts.Boot.Time = w.facts.Boot.Time.Add(by)
	w.facts.Link.SyncedAt = w.facts.Link.SyncedAt.Add(by)
}

// newPod makes up a pod, more often than not one that the reboot left behind.
func (w *world) newPod() recovery.Pod {
	w.made++

	return recovery.Pod{
		Namespace: "kube-system",
		Name:      fmt.Sprintf("pod-%d", w.made),
		UID:       fmt.Sprintf("uid-%d", w.made),
		NodeName:  []string{node, node, node, node, "worker-2"}[w.choose(5)],
		Owner: recovery.Owner{
			Group: []string{"apps", "apps", "apps.kruise.io", "batch"}[w.choose(4)],
			Kind:  []string{"DaemonSet", "DaemonSet", "DaemonSet", "Job"}[w.choose(4)],
			Name:  []string{"cilium", "kube-proxy"}[w.choose(2)],
			UID:   []string{"uid-a", "uid-b"}[w.choose(2)],
		},
		Failed:           w.choose(4) > 0,
		Ready:            w.choose(2) == 0,
		Reason:           []string{"", "NodeShutdown", "Terminated", "Evicted", "OutOfcpu", "UnexpectedAdmissionError"}[w.choose(6)],
		KubeletDisrupted: w.choose(4) == 0,
		Created:          w.now.Add(-time.Duration(w.choose(200)) * time.Second),
		Started:          w.now.Add(-time.Duration(w.choose(200)) * time.Second),
		Deleting:         w.choose(6) == 0,
		Finalizers:       [][]string{nil, nil, {"example.com/a"}}[w.choose(3)],
		Mirror:           w.choose(9) == 0,
		OptedOut:         w.choose(9) == 0,
	}
}

// finish ends what is under way, well or badly.
func (w *world) finish() {
	for uid := range maps.Clone(w.facts.InFlight) {
		delete(w.facts.InFlight, uid)

		for id, rec := range w.facts.DaemonSets {
			if rec.FailedPodUID != uid {
				continue
			}

			result := recovery.Result(w.choose(5))
			w.facts.Outcomes = append(w.facts.Outcomes, recovery.Outcome{DaemonSet: id, PodUID: uid, Result: result})

			if result == recovery.ResultDeleted || result == recovery.ResultGone {
				delete(w.pods, uid)
			}
		}
	}
}

// decide asks twice, with the pods in another order the second time.
func (w *world) decide(t *testing.T) recovery.Decision {
	t.Helper()

	w.facts.Link.Pods = slices.SortedFunc(maps.Values(w.pods), func(a, b recovery.Pod) int { return len(a.UID) - len(b.UID) })

	again := w.facts
	again.Link.Pods = slices.Clone(w.facts.Link.Pods)
	slices.Reverse(again.Link.Pods)
	again.DaemonSets = maps.Clone(w.facts.DaemonSets)

	decision := recovery.Plan(w.facts, w.now)
	require.Equal(t, decision, recovery.Plan(again, w.now), "the same facts gave another decision")
	require.Equal(t, again.DaemonSets, w.facts.DaemonSets, "the facts were changed")

	return decision
}

func (w *world) check(t *testing.T, decision recovery.Decision) {
	t.Helper()

	for _, pod := range deletes(decision) {
		require.Zero(t, decision.Obstacle, "deleted through a closed gate")
		require.True(t, pod.Failed, "deleted a pod that has not failed: %+v", pod)
		require.Equal(t, node, pod.NodeName)
		require.Equal(t, "DaemonSet", pod.Owner.Kind)
		require.Contains(t, []string{"apps", "apps.kruise.io"}, pod.Owner.Group)
		require.False(t, pod.OptedOut || pod.Deleting || pod.Mirror, "deleted a pod to be left alone: %+v", pod)
		require.False(t, w.facts.InFlight[pod.UID], "deleted a pod twice at once")

		id := pod.DaemonSetID()
		require.Equal(t, pod.UID, decision.DaemonSets[id].FailedPodUID, "an attempt that is not on record")

		w.note(id, pod)
		require.LessOrEqual(t, len(w.tried[id]), w.facts.Settings.RejectionCap, "deleted more pods of this boot than the cap")
	}

	for _, rec := range decision.DaemonSets {
		require.LessOrEqual(t, rec.Rejections, w.facts.Settings.RejectionCap)
		require.LessOrEqual(t, rec.Rejections, rec.Attempts)
	}

	if decision.Status.Phase == specs.PhaseRecovered {
		for _, verdict := range decision.Verdicts {
			if verdict.Class == recovery.ClassLeftover || verdict.Class == recovery.ClassRejected {
				w.checkReadyBeside(t, decision, verdict.Pod)
			}
		}
	}

	if !decision.LookAgain.IsZero() {
		require.True(t, decision.LookAgain.After(w.now), "asked to look again at once, which is a hot loop")
	}
}

// note notes the delete of a pod of this boot.
func (w *world) note(id string, pod recovery.Pod) {
	// What was shut down in the future is a leftover from before the clock was set.
	if pod.Started.After(w.now) && (pod.Reason == "NodeShutdown" || pod.Reason == "Terminated") {
		w.leftovers[pod.UID] = true
	}

	if pod.Started.Before(booted) || w.leftovers[pod.UID] {
		return
	}

	if w.tried[id] == nil {
		w.tried[id] = map[string]bool{}
	}

	w.tried[id][pod.UID] = true
}

// checkRest lets time pass in which nothing happens, and checks that no pass says something new for ever.
func (w *world) checkRest(t *testing.T, decision recovery.Decision) {
	t.Helper()

	f, at := w.facts, w.now
	f.Outcomes, f.InFlight = nil, nil

	for i := range 100 {
		f.Status, f.DaemonSets = decision.Status, decision.DaemonSets
		if i > 2 && decision.LookAgain.IsZero() && len(deletes(decision)) == 0 {
			break
		}

		at = slices.MaxFunc([]time.Time{decision.LookAgain, at.Add(time.Second)}, time.Time.Compare)
		decision = recovery.Plan(f, at)
	}

	if len(deletes(decision)) == 0 {
		later := recovery.Plan(f, at.Add(time.Hour))
		require.Equal(t, f.Status, later.Status, "another status with every pass")
		require.Equal(t, f.DaemonSets, later.DaemonSets, "other records with every pass")
	}
}

// checkReadyBeside is about a Failed pod that does not keep the node from having recovered: it is handed back to the
// DaemonSet controller, and another pod of the DaemonSet is Ready.
func (w *world) checkReadyBeside(t *testing.T, decision recovery.Decision, pod recovery.Pod) {
	t.Helper()

	rec := decision.DaemonSets[pod.DaemonSetID()]
	require.Equal(t, specs.DaemonSetPhaseRecovered, rec.Phase, "recovered beside a Failed pod: %+v", pod)
	require.Equal(t, w.facts.Settings.RejectionCap, rec.Rejections)
	require.Condition(t, func() bool {
		for _, other := range w.pods {
			if other.Name == rec.Replacement && other.Ready && !other.Failed && !other.Deleting && other.DaemonSetID() == pod.DaemonSetID() {
				return true
			}
		}

		return false
	}, "no pod is Ready beside %+v", pod)
}

// apply publishes the decision and starts its deletes.
func (w *world) apply(decision recovery.Decision) {
	w.facts.Status, w.facts.DaemonSets = decision.Status, decision.DaemonSets

	for _, pod := range deletes(decision) {
		if w.facts.InFlight == nil {
			w.facts.InFlight = map[string]bool{}
		}

		w.facts.InFlight[pod.UID] = true
	}
}

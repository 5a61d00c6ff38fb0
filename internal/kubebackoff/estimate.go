// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"slices"
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
)

const (
	// firstWait and longestWait bound the back-off, which doubles with every delete in between: that of
	// flowcontrol.NewBackOff(1*time.Second, 15*time.Minute) in kube-controller-manager 1.36.
	firstWait   = time.Second
	longestWait = 15 * time.Minute
	// forgottenAfter is when the back-off begins anew, if nothing was deleted meanwhile.
	forgottenAfter = 2 * longestWait
	// resolution is that of the times: they come in whole seconds.
	resolution = time.Second
)

// Wait is a Failed pod that a DaemonSet controller has yet to delete, and what can be said about when it will.
type Wait struct {
	Pod recovery.Pod
	// FailedSince is when the pod failed at the earliest.
	FailedSince time.Time
	// DeletedAt is when the DaemonSet controller last deleted a Failed pod of this DaemonSet on this node, as it has told of; zero
	// if no event says so.
	DeletedAt time.Time
	// Deletes is how many such deletes in a row the events tell of.
	Deletes int
	// Earliest, Likely and Latest are when it will delete this pod, at the earliest, most likely, and at the latest. They are
	// zero if Overdue.
	Earliest, Likely, Latest time.Time
	// Overdue is whether the longest back-off there is has passed: then it is not the back-off that the pod waits for.
	Overdue bool
}

// Estimate says what follows for a Failed pod from the times that the API has.
//
// A wait begins when the controller deletes a pod, and that pod's successor, which is created at once, is the one that waits:
// so the wait has begun with the last event about this DaemonSet and node, or else when the pod was created. It lasts a power
// of two of seconds, 900 at the most. The waits that would be over have not been it. Each event in a row has doubled it, unless
// the DaemonSet was changed in between, which begins anew. And the controller may count the whole wait once more from the moment
// at which it sees the pod fail.
func Estimate(pod recovery.Pod, attempts []Attempt, now time.Time) Wait {
	wait := Wait{Pod: pod, FailedSince: failedSince(pod)}

	at := attemptsAt(pod, attempts)
	begun := pod.Created

	if len(at) > 0 {
		wait.DeletedAt, wait.Deletes = at[0], inARow(at)
		begun = later(begun, at[0])
	}

	latest := later(begun, wait.FailedSince).Add(longestWait + resolution)
	if !now.Before(latest) {
		wait.Overdue = true

		return wait
	}

	shortest := firstWait
	for shortest < longestWait && !now.Before(begun.Add(shortest+resolution)) {
		shortest = min(2*shortest, longestWait)
	}

	likely := shortest
	for counted := firstWait * time.Duration(1<<min(max(wait.Deletes-1, 0), 10)); likely < min(counted, longestWait); {
		likely = min(2*likely, longestWait)
	}

	wait.Latest = latest
	wait.Earliest = earlier(later(begun.Add(shortest), now), latest)
	wait.Likely = earlier(later(begun.Add(likely), wait.Earliest), latest)

	return wait
}

// failedSince is when a pod failed at the earliest.
func failedSince(pod recovery.Pod) time.Time {
	return later(later(pod.Created, pod.Started), pod.DisruptedAt)
}

// attemptsAt are the times of the deletes of the pod's DaemonSet on its node, the last one first.
func attemptsAt(pod recovery.Pod, attempts []Attempt) []time.Time {
	var at []time.Time

	for _, attempt := range attempts {
		if attempt.DaemonSet == pod.Owner.UID && attempt.Node == pod.NodeName && attempt.Pod != pod.Name {
			at = append(at, attempt.At)
		}
	}

	slices.SortFunc(at, func(a, b time.Time) int { return b.Compare(a) })

	return at
}

// inARow is how many of the times, the last one first, have followed each other before the back-off was forgotten.
func inARow(at []time.Time) int {
	for i := 1; i < len(at); i++ {
		if at[i-1].Sub(at[i]) > forgottenAfter {
			return i
		}
	}

	return len(at)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}

	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}

	return b
}

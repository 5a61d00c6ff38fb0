// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// reboundLimit is how long rebound may take: for a Failed pod of a DaemonSet from
// the moment on at which nothing disturbs the node, and the coordinator for what
// is left of a cordon. It is some seconds without faults, on a slow machine more.
const reboundLimit = 30 * time.Second

// Observation is what there was at a moment.
type Observation struct {
	At time.Time
	// Failed are the pods of DaemonSets that are Failed, and not being deleted.
	Failed []FailedPod
	// Marked are the nodes with the coordinator's mark of a cordon, InWork those
	// whose reboot is between its beginning and its end, and Holders those with a
	// slot.
	Marked, InWork, Holders []string
	// Calm says for each node, and with "" for the coordinator, since when nothing
	// has disturbed it. What is disturbed at the moment is not in it.
	Calm map[string]time.Time
}

// FailedPod is a pod of a DaemonSet.
type FailedPod struct {
	UID          types.UID
	Name, Node   string
	Reason       string
	wasSeenSince time.Time
}

// Ledger keeps what was found until now. Its zero value is not usable, see
// [NewLedger].
type Ledger struct {
	// responsible are the nodes on which nothing may be stuck.
	responsible []string

	failed  map[types.UID]FailedPod
	late    map[types.UID]struct{}
	marked  map[string]time.Time
	overdue map[string]struct{}

	// Stuck and Cordons are what was found, a line for each.
	Stuck, Cordons []string
	last           Observation
}

// NewLedger returns one that has found nothing. Nothing may be stuck on the nodes.
func NewLedger(responsible ...string) *Ledger {
	return &Ledger{
		responsible: responsible,
		failed:      map[types.UID]FailedPod{}, late: map[types.UID]struct{}{},
		marked: map[string]time.Time{}, overdue: map[string]struct{}{},
	}
}

// See takes the next observation, and writes down what has lasted too long.
func (ledger *Ledger) See(now Observation) {
	ledger.seePods(now)
	ledger.seeCordons(now)
	ledger.last = now
}

func (ledger *Ledger) seePods(now Observation) {
	there := map[types.UID]FailedPod{}

	for _, pod := range now.Failed {
		if !slices.Contains(ledger.responsible, pod.Node) {
			continue
		}

		pod.wasSeenSince = cmp.Or(ledger.failed[pod.UID].wasSeenSince, now.At)
		there[pod.UID] = pod

		if _, told := ledger.late[pod.UID]; told || !isLate(now, pod.Node, pod.wasSeenSince) {
			continue
		}

		ledger.late[pod.UID] = struct{}{}
		ledger.Stuck = append(ledger.Stuck, fmt.Sprintf("pod %q on %s (%s) was Failed for more than %s with nothing in the way", pod.Name, pod.Node, pod.Reason, reboundLimit))
	}

	ledger.failed = there
}

func (ledger *Ledger) seeCordons(now Observation) {
	left := map[string]time.Time{}

	for _, node := range now.Marked {
		if slices.Contains(now.InWork, node) {
			continue
		}

		left[node] = cmp.Or(ledger.marked[node], now.At)

		if _, told := ledger.overdue[node]; told || !isLate(now, coordinator, left[node]) {
			continue
		}

		ledger.overdue[node] = struct{}{}
		ledger.Cordons = append(ledger.Cordons, fmt.Sprintf("%s bore the mark of a cordon for more than %s with no reboot in work", node, reboundLimit))
	}

	for node := range ledger.overdue {
		if _, still := left[node]; !still {
			delete(ledger.overdue, node)
		}
	}

	ledger.marked = left
}

// isLate says whether something has lasted for too long that concerns the node, or
// the coordinator.
func isLate(now Observation, whom string, since time.Time) bool {
	calm, ok := now.Calm[whom]
	if !ok {
		return false
	}

	if calm.After(since) {
		since = calm
	}

	return now.At.Sub(since) > reboundLimit
}

// Rest returns what is not at rest by the last observation, a line for each: what
// must not be there at the end.
func (ledger *Ledger) Rest() (stuck, cordons []string) {
	for _, pod := range slices.SortedFunc(maps.Values(ledger.failed), func(a, b FailedPod) int { return cmp.Compare(a.Name, b.Name) }) {
		stuck = append(stuck, fmt.Sprintf("pod %q on %s (%s) is Failed at the end", pod.Name, pod.Node, pod.Reason))
	}

	for _, node := range ledger.last.Marked {
		cordons = append(cordons, fmt.Sprintf("%s bears the mark of a cordon at the end", node))
	}

	for _, node := range ledger.last.InWork {
		cordons = append(cordons, fmt.Sprintf("the reboot of %s is in work at the end", node))
	}

	for _, node := range ledger.last.Holders {
		cordons = append(cordons, fmt.Sprintf("%s holds a slot at the end", node))
	}

	return stuck, cordons
}

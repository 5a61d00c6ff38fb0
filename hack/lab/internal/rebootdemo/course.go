// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"slices"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// State is what a node is about, seen from outside.
type State string

// The states. A node that gives up goes back from StateDraining to StateWaiting.
const (
	// StateWaiting: it has asked, and pods may still be put on it.
	StateWaiting State = "waiting"
	// StateDraining: it is cordoned and has not been rebooted.
	StateDraining State = "draining"
	// StateDown: it is not Ready.
	StateDown State = "down"
	// StateBack: it has been rebooted and is still cordoned.
	StateBack State = "back"
	// StateDone: it has been rebooted, and pods may be put on it.
	StateDone State = "done"
)

// Stretch is a time in which a node was in one state.
type Stretch struct {
	State    State
	From, To time.Time
}

// Course is the way of a node from the moment at which it asked.
type Course struct {
	Node      string
	Stretches []Stretch
	// Started is when it was first cordoned, Down when it was no longer Ready for
	// its reboot, and Rebooted when it was there in another boot; zero for never.
	Started, Down, Rebooted time.Time
	// Cordoned is for how long it was cordoned in all.
	Cordoned time.Duration
}

// goes is when the node went to reboot, or the end of a run in which it did not.
func (course *Course) goes(ended time.Time) time.Time {
	for _, moment := range []time.Time{course.Down, course.Rebooted} {
		if !moment.IsZero() {
			return moment
		}
	}

	return ended
}

// stateOf is what a sight says about a node that had the boot id before.
func stateOf(sight lab.NodeSight, before string) State {
	rebooted := sight.BootID != before

	switch {
	case !sight.Ready:
		return StateDown
	case rebooted && sight.Unschedulable:
		return StateBack
	case rebooted:
		return StateDone
	case sight.Unschedulable:
		return StateDraining
	default:
		return StateWaiting
	}
}

// courseOf is the way of a node until end, from what was seen of all nodes in
// its order. What was seen before it asked says where it began.
func courseOf(node string, all []lab.NodeSight, asked, end time.Time) Course {
	course := Course{Node: node}

	seen := slices.DeleteFunc(slices.Clone(all), func(sight lab.NodeSight) bool { return sight.Node != node || sight.At.After(end) })
	if len(seen) == 0 {
		return course
	}

	before := seen[0].BootID

	for i, sight := range seen {
		until := end
		if i+1 < len(seen) {
			until = seen[i+1].At
		}

		if !sight.At.After(asked) {
			before = sight.BootID
		}

		if !until.After(asked) {
			continue
		}

		course.add(sight, before, maxTime(sight.At, asked), until)
	}

	return course
}

// add adds what a sight says of the time between.
func (course *Course) add(sight lab.NodeSight, before string, from, to time.Time) {
	state := stateOf(sight, before)

	if n := len(course.Stretches); n > 0 && course.Stretches[n-1].State == state {
		course.Stretches[n-1].To = to
	} else {
		course.Stretches = append(course.Stretches, Stretch{State: state, From: from, To: to})
	}

	if sight.Unschedulable {
		course.Cordoned += to.Sub(from)
		course.Started = first(course.Started, from)
	}

	if sight.BootID != before {
		course.Rebooted = first(course.Rebooted, from)
	} else if state == StateDown {
		course.Down = first(course.Down, from)
	}
}

// first is the moment that is known, or else the next one.
func first(known, next time.Time) time.Time {
	if known.IsZero() {
		return next
	}

	return known
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}

	return b
}

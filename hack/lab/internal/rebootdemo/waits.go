// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"slices"
	"time"
)

// Wait is what kept a node from going, from a moment on. It is what whoever
// coordinates the reboots says, and no measurement.
type Wait struct {
	At   time.Time
	Node string
	// Reason is one word for it; empty if nothing keeps it any more.
	Reason string
	// Message is what exactly it is.
	Message string
}

// String is what people read.
func (w Wait) String() string {
	if w.Message == "" {
		return w.Reason
	}

	return w.Reason + ": " + w.Message
}

// longestWait is what the node waited for longest in the time between, in the
// message that was true longest; empty for nothing.
func longestWait(waits []Wait, node string, from, to time.Time) string {
	var (
		own      = slices.DeleteFunc(slices.Clone(waits), func(w Wait) bool { return w.Node != node || !w.At.Before(to) })
		reasons  = map[string]time.Duration{}
		messages = map[string]time.Duration{}
		longest  Wait
	)

	lasted := func(i int) time.Duration {
		until := to
		if i+1 < len(own) {
			until = own[i+1].At
		}

		return max(0, until.Sub(maxTime(own[i].At, from)))
	}

	for i, wait := range own {
		reasons[wait.Reason] += lasted(i)
		messages[wait.String()] += lasted(i)
	}

	for _, wait := range own {
		if wait.Reason == "" {
			continue
		}

		if longest.Reason == "" || reasons[wait.Reason] > reasons[longest.Reason] ||
			wait.Reason == longest.Reason && messages[wait.String()] > messages[longest.String()] {
			longest = wait
		}
	}

	return longest.String()
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import "github.com/talos-rebound/rebound/hack/lab/internal/show"

// narration tells of the nodes as it happens.
type narration struct {
	progress *show.Progress
	// boots are those in which the nodes were seen first.
	boots map[string]string
}

func (n *narration) observed(next, last Observation) {
	if last.Node == "" {
		if n.boots == nil {
			n.boots = map[string]string{}
		}

		n.boots[next.Node] = next.BootID

		return
	}

	before := n.boots[next.Node]
	state := next.state(before)

	if state == last.state(before) {
		return
	}

	switch state {
	case StateWaiting:
		n.progress.Node(next.Node, "in service again, and not rebooted")
	case StateDraining:
		n.progress.Node(next.Node, "cordoned")
	case StateDown:
		n.progress.Node(next.Node, "down")
	case StateBack:
		n.progress.Node(next.Node, "back in another boot, still cordoned")
	case StateDone:
		n.progress.Done(next.Node, "rebooted and in service")
	}
}

func (n *narration) waits(wait Wait) {
	if wait.Reason != "" {
		n.progress.Node(wait.Node, "waits: "+wait.String())
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// narration tells of the nodes as it happens.
type narration struct {
	progress *show.Progress
	// boots are those in which the nodes were seen first, states what was told last.
	boots  map[string]string
	states map[string]State
}

func newNarration(progress *show.Progress) *narration {
	return &narration{progress: progress, boots: map[string]string{}, states: map[string]State{}}
}

func (n *narration) saw(sight lab.NodeSight) {
	node := sight.Node
	if _, ok := n.boots[node]; !ok {
		n.boots[node] = sight.BootID
		n.states[node] = stateOf(sight, sight.BootID)
	}

	state := stateOf(sight, n.boots[node])
	if state == n.states[node] {
		return
	}

	n.states[node] = state

	switch state {
	case StateWaiting:
		n.progress.Node(node, "in service again, and not rebooted")
	case StateDraining:
		n.progress.Node(node, "cordoned")
	case StateDown:
		n.progress.Node(node, "down")
	case StateBack:
		n.progress.Node(node, "back in another boot, still cordoned")
	case StateDone:
		n.progress.Done(node, "rebooted and in service")
	}
}

func (n *narration) waits(wait Wait) {
	if wait.Reason != "" {
		n.progress.Node(wait.Node, "waits: "+wait.String())
	}
}

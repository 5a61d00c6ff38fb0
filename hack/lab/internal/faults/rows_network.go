// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"fmt"
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// networkRows are about what lies between rebound and the API server, at each
// step of a recovery.
func networkRows() []Row {
	all := steps()
	rows := make([]Row, 0, 1+2*len(all))
	rows = append(rows, mute())

	for i, step := range all {
		rows = append(rows,
			Row{
				Name:  "the network is cut " + step.when,
				Fault: "connections break, and new ones are refused", When: step.when, Lasts: "until rebound has said so, and 3s more",
				Phase: "waiting", Message: unreachable, End: oneBack, Requests: 40, Quick: i == 3,
				Play: func(s *Stage) (string, error) {
					at := step.begin(s)

					at.node.Proxy().Cut()
					at.resume()
					at.node.AwaitFault()
					at.node.StaysOpen(outage)
					at.node.Proxy().Restore()
					at.finish()

					return at.node.End(), nil
				},
			},
			Row{
				Name:  "the network goes silent " + step.when,
				Fault: "connections stay, and nothing passes", When: step.when, Lasts: freezeTime.String(),
				End: oneBack, Requests: 20,
				Play: func(s *Stage) (string, error) {
					at := step.begin(s)

					at.node.Proxy().Freeze()
					at.resume()
					at.finish()
					s.Pass(freezeTime)
					at.node.Proxy().Thaw()

					return at.node.End(), nil
				},
			},
		)
	}

	return rows
}

// freezeTime is longer than a blip, and shorter than any time-out.
const freezeTime = 6 * time.Second

// mute is a connection that is half open for longer than a request may take.
func mute() Row {
	return Row{
		Name:  "the network stays silent for longer than a request may take",
		Fault: "connections stay, and nothing passes", When: "before the first list", Lasts: "until rebound has given up a request",
		Phase: "waiting", Message: unreachable, End: oneBack, Requests: 20,
		Play: func(s *Stage) (string, error) {
			at := beforeList(s)

			at.node.Proxy().Freeze()
			at.resume()
			at.node.AwaitFault()
			at.node.Proxy().Thaw()

			return at.node.End(), nil
		},
	}
}

// StaysOpen looks for so long whether the node's recovery does not end, and in
// particular does not call itself recovered.
func (n *Node) StaysOpen(during time.Duration) {
	n.stage.Stays(fmt.Sprintf("the recovery of node %q has not ended", n.Name()), during, func() bool {
		return n.Await(func(specs.RecoveryStatus) bool { return true }).Phase != specs.PhaseRecovered
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"fmt"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// unreachable is what a recovery says that cannot reach the API server.
const unreachable = `failed to read node "NODE"`

// outage is how long rebound is left without an API server when it has said so:
// long enough for a client that does not wait between its tries to be found out
// by their number.
const outage = 3 * time.Second

// baseline is a recovery in which nothing is wrong.
func baseline() Row {
	return Row{
		Name: "nothing is wrong", Fault: "none", When: "never", Lasts: "no time",
		End: oneBack, Requests: 8, Quick: true,
		Play: func(s *Stage) (string, error) {
			node := s.fail(s.Rebound(), lab.WithProxy())
			must(node.Boot(s.ctx))

			return node.End(), nil
		},
	}
}

// serverRows are about the API server itself, at each step of a recovery.
func serverRows() []Row {
	all := steps()
	rows := make([]Row, 0, 1+3*len(all))
	rows = append(rows, baseline())

	for i, step := range all {
		rows = append(rows,
			Row{
				Name:  "the API server is killed " + step.when,
				Fault: "kube-apiserver is killed", When: step.when, Lasts: "until rebound has said so, and 3s more",
				Phase: "waiting", Message: unreachable, End: oneBack, Requests: 40, Place: InTurn, Quick: i == 1,
				Play: func(s *Stage) (string, error) {
					at := step.begin(s)

					s.KillComponent(component.APIServer)
					at.resume()
					at.node.AwaitFault()
					at.node.StaysOpen(outage)
					s.StartComponent(component.APIServer)
					at.finish()

					return at.node.End(), nil
				},
			},
			Row{
				Name:  "the API server is restarted " + step.when,
				Fault: "kube-apiserver is stopped and started", When: step.when, Lasts: "as long as it takes",
				End: oneBack, Requests: 40, Place: InTurn,
				Play: func(s *Stage) (string, error) {
					at := step.begin(s)

					s.StopComponent(component.APIServer)
					at.resume()
					s.StartComponent(component.APIServer)
					at.finish()

					return at.node.End(), nil
				},
			},
			slowRow(step),
		)
	}

	return rows
}

// slowRow delays every request.
func slowRow(step step) Row {
	const latency = 3 * time.Second

	return Row{
		Name:  "the API server is slow " + step.when,
		Fault: fmt.Sprintf("every request takes %s longer", latency), When: step.when, Lasts: "to the end",
		End: oneBack, Requests: 20,
		Play: func(s *Stage) (string, error) {
			at := step.begin(s)

			at.node.Proxy().SetLatency(latency)
			at.resume()
			at.finish()

			return at.node.End(), nil
		},
	}
}

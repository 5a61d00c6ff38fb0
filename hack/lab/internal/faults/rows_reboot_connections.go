// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"time"
)

// rebootConnectionRows are about the network between the coordinator and the API
// server.
func rebootConnectionRows() []Row {
	return inTurn(
		Row{
			Name: "the coordinator's network is cut at each step", Fault: "connections break, and no new ones can be made", When: "in Cordoned, Drained, Granted and Back", Lasts: "for a second",
			End: oneDone, Requests: 350,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				proxy := q.startBehind()

				q.atEachStep(q.nodes[0], func() {
					proxy.Cut()
					q.Pass(time.Second)
					proxy.Restore()
				})

				return q.done()
			},
		},
		Row{
			Name: "the coordinator's network is silent at each step", Fault: "connections stay, and nothing passes", When: "in Cordoned, Drained, Granted and Back", Lasts: "for three seconds",
			End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				proxy := q.startBehind()

				q.atEachStep(q.nodes[0], func() {
					proxy.Freeze()
					q.Pass(3 * time.Second)
					proxy.Thaw()
				})

				return q.done()
			},
		},
		Row{
			Name: "the coordinator's network is slow", Fault: "every request takes two seconds longer", When: "from the start to the end", Lasts: "all the time",
			End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				q.startBehind().SetLatency(2 * time.Second)
				q.run(q.nodes[0], 2, 2)
				q.ask(q.nodes[0])

				return q.done()
			},
		},
		Row{
			Name: "the coordinator is cut off while the node is down", Fault: "connections break, and no new ones can be made", When: "after the grant", Lasts: "until the node is back",
			Phase: granted, Message: "the node", End: twoDone, Requests: 350,
			Play: func(s *Stage) (string, error) {
				q := s.queue(2)
				proxy := q.startBehind()
				first := q.nodes[0]

				q.ask(first)
				q.awaitFault(first)
				q.Await("the node has got its grant", func() bool { return q.nodeWrites(first) >= 2 })
				proxy.Cut()
				q.ask(q.nodes[1])
				q.Await("the node is back", func() bool { return len(first.Boots()) == 2 })
				must(first.AwaitAgent(q.ctx))
				proxy.Restore()

				return q.done()
			},
		},
	)
}

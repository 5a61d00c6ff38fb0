// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// oneBack is the end of a recovery in which one pod had to be replaced.
const oneBack = "recovered (DaemonSets: 1 recovered), pods deleted: 1, and all pods are Ready"

// left is a node that is down, with one Failed pod that rebound alone will
// delete.
func (s *Stage) left(options ...lab.NodeOption) *Node {
	node := s.AddNode("", options...)
	s.Apply("proxy")
	s.AwaitReady()
	s.SuspendBackOff()
	must(node.Stop(s.ctx))

	return node
}

// serverRows are about the API server.
func serverRows() []Row {
	return []Row{
		{
			Name: "nothing is wrong", Fault: "none", When: "never", Lasts: "for ever",
			End: oneBack, Requests: 12, Quick: true,
			Play: func(s *Stage) (string, error) {
				node := s.left(s.Rebound(), lab.WithProxy())
				must(node.Start(s.ctx))

				return node.End(), nil
			},
		},
		{
			Name: "the API server is away when the node boots", Fault: "kube-apiserver is stopped", When: "before the first list", Lasts: "until rebound has said so",
			Phase: "waiting", Message: "connection refused", End: oneBack, Requests: 60, Place: InTurn, Quick: true,
			Play: func(s *Stage) (string, error) {
				node := s.left(s.Rebound())
				s.StopComponent(component.APIServer)
				must(node.Boot(s.ctx))
				node.AwaitFault()
				s.StartComponent(component.APIServer)

				return node.End(), nil
			},
		},
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"context"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// crash kills a component of the control plane and starts it again.
func (q *queue) crash(name component.Name) {
	q.Cleanup(func(ctx context.Context) error { return q.Lab.StartComponent(ctx, name) })
	must(q.Lab.KillComponent(name))
	must(q.Lab.StartComponent(q.ctx, name))
}

// rebootOutageRows are about the control plane.
func rebootOutageRows() []Row {
	return inTurn(
		Row{
			Name: "the API server is restarted in the middle of a drain", Fault: "kube-apiserver is killed, and started again", When: "in the drain", Lasts: "until it is ready",
			Phase: cordoned, Message: cannotEvict, End: oneDone, Requests: 350,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.keep(q.start(lab.CoordinatorOptions{}))
				q.stick(node)
				q.ask(node)
				q.awaitFault(node)
				q.crash(component.APIServer)
				q.free()

				return q.done()
			},
		},
		Row{
			Name: "the API server is restarted while the node is down", Fault: "kube-apiserver is killed, and started again", When: "after the grant", Lasts: "until it is ready",
			Phase: granted, Message: "the node", End: oneDone, Requests: 350,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.keep(q.start(lab.CoordinatorOptions{}))
				q.ask(node)
				q.awaitFault(node)
				q.Await("the machine is off", func() bool { return !node.Boots()[0].Down.IsZero() })
				q.crash(component.APIServer)

				return q.done()
			},
		},
		Row{
			Name: "etcd is restarted in the middle of a drain", Fault: "etcd is killed, and started again", When: "in the drain", Lasts: "until it is healthy",
			Phase: cordoned, Message: cannotEvict, End: oneDone, Requests: 350,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.keep(q.start(lab.CoordinatorOptions{}))
				q.stick(node)
				q.ask(node)
				q.awaitFault(node)
				q.crash(component.Etcd)
				q.free()

				return q.done()
			},
		},
		Row{
			Name: "the controller manager is away during a drain", Fault: "kube-controller-manager is stopped", When: "before the request", Lasts: "until the node is cordoned",
			End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.start(lab.CoordinatorOptions{})
				q.run(node, 2, 2)
				q.StopComponent(component.ControllerManager)
				q.ask(node)
				q.awaitPhase(node, v1alpha1.PhaseCordoned, "")
				q.StartComponent(component.ControllerManager)

				return q.done()
			},
		},
	)
}

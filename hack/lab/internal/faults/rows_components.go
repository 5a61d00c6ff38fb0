// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"time"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// componentRows are about the rest of the control plane.
func componentRows() []Row {
	return []Row{
		{
			Name: "etcd is away when the node boots", Fault: "etcd is stopped", When: "before the first list", Lasts: "until rebound has said so",
			Phase: "waiting", Message: unreachable, End: oneBack, Requests: 40, Place: InTurn,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)

				s.StopComponent(component.Etcd)
				at.resume()
				at.node.AwaitFault()
				s.StartComponent(component.Etcd)

				return at.node.End(), nil
			},
		},
		{
			Name: "etcd is killed in the middle of a recovery", Fault: "etcd is killed and started", When: "between list and delete", Lasts: "as long as it takes",
			End: oneBack, Requests: 40, Place: InTurn,
			Play: func(s *Stage) (string, error) {
				at := beforeDelete(s)

				s.KillComponent(component.Etcd)
				at.resume()
				s.StartComponent(component.Etcd)

				return at.node.End(), nil
			},
		},
		{
			Name: "etcd is killed when the pod is replaced", Fault: "etcd is killed and started", When: "while following the replacement", Lasts: "as long as it takes",
			End: oneBack, Requests: 40, Place: InTurn,
			Play: func(s *Stage) (string, error) {
				at := whileFollowing(s)

				s.KillComponent(component.Etcd)
				s.StartComponent(component.Etcd)
				at.finish()

				return at.node.End(), nil
			},
		},
		{
			Name: "the controller manager is away for 30 s", Fault: "kube-controller-manager is stopped", When: "while following the replacement", Lasts: "30s",
			Phase: "recovering", Message: "proxy: waiting for the replacement of proxy-POD", End: oneBack, Requests: 10, Place: InTurn, Quick: true,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)

				s.StopComponent(component.ControllerManager)
				at.resume()
				at.node.AwaitFault()
				at.node.StaysOpen(30 * time.Second)
				s.StartComponent(component.ControllerManager)

				return at.node.End(), nil
			},
		},
		{
			Name: "the controller manager is away for ever", Fault: "kube-controller-manager is stopped", When: "while following the replacement", Lasts: "for ever",
			Phase: "recovering", Message: "is kube-controller-manager running?",
			End:      "recovering (proxy: no pod has replaced proxy-POD, and no DaemonSet has created one here since: is kube-controller-manager running?), pods deleted: 1",
			Requests: 10, Place: Alone,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)

				s.StopComponent(component.ControllerManager)
				at.resume()
				at.node.AwaitFault()
				at.node.StaysOpen(30 * time.Second)

				return at.node.Tell(at.node.Await(func(specs.RecoveryStatus) bool { return true })), nil
			},
		},
		{
			Name: "the scheduler is away", Fault: "kube-scheduler is stopped", When: "while following the replacement", Lasts: "until rebound has said so, and 5s more",
			Phase: "recovering", Message: "proxy: waiting for the replacement of proxy-POD", End: oneBack, Requests: 10, Place: InTurn,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)

				s.StopComponent(component.Scheduler)
				at.resume()
				at.node.AwaitFault()
				at.node.StaysOpen(5 * time.Second)
				s.StartComponent(component.Scheduler)

				return at.node.End(), nil
			},
		},
		{
			Name: "the API server is on the very node", Fault: "it ends with the node, and is started by its kubelet", When: "a graceful reboot", Lasts: "until the kubelet is healthy",
			Phase: "waiting", Message: "connection refused", End: oneBack, Requests: 60, Place: InTurn,
			Play: func(s *Stage) (string, error) {
				node := s.fail(s.Rebound())

				s.StopComponent(component.APIServer)
				must(node.Boot(s.ctx))
				must1(node.WaitKubeletHealthy(s.ctx))
				node.AwaitFault()
				s.StartComponent(component.APIServer)

				return node.End(), nil
			},
		},
		{
			Name: "the power of the node with the API server fails", Fault: "both are gone at once, and back one after the other", When: "a power failure", Lasts: "until the kubelet is healthy",
			Phase: "waiting", Message: "connection refused",
			End:      "recovered (no Failed DaemonSet pods), pods deleted: 0, and all pods are Ready",
			Requests: 60, Place: InTurn,
			Play: func(s *Stage) (string, error) {
				node := s.AddNode("", s.Rebound())
				s.Apply("proxy")
				s.AwaitReady()

				s.KillComponent(component.APIServer)
				must(node.Kill())
				must(node.Boot(s.ctx))
				must1(node.WaitKubeletHealthy(s.ctx))
				node.AwaitFault()
				s.StartComponent(component.APIServer)

				return node.End(), nil
			},
		},
		{
			Name: "the agent starts without an API server", Fault: "kube-apiserver is killed", When: "before the first list, with rebound as a static pod", Lasts: "until rebound has said so",
			Phase: "waiting", Message: "connection refused", End: oneBack, Requests: 60, Place: InTurn, Quick: true,
			Play: func(s *Stage) (string, error) {
				node := s.fail(s.Agent())

				s.KillComponent(component.APIServer)
				must(node.Boot(s.ctx))
				node.AwaitFault()
				s.StartComponent(component.APIServer)

				return node.End(), nil
			},
		},
		{
			Name: "the network of the agent is cut", Fault: "connections break, and new ones are refused", When: "between list and delete, with rebound as a static pod", Lasts: "until rebound has said so",
			Phase: "waiting", Message: unreachable, End: oneBack, Requests: 60,
			Play: func(s *Stage) (string, error) {
				node := s.fail(s.Agent(), lab.WithProxy())
				node.Proxy().Hold(deletesPod)
				must(node.Boot(s.ctx))
				must(node.Proxy().AwaitHeld(s.ctx, func(held []string) bool { return len(held) > 0 }))

				node.Proxy().Cut()
				node.Proxy().Release()
				node.AwaitFault()
				node.Proxy().Restore()

				return node.End(), nil
			},
		},
	}
}

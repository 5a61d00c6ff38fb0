// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// back is the phase of a node that is there in another boot.
const back = string(v1alpha1.PhaseBack)

// rebootReturnRows are about nodes that were granted their reboot.
func rebootReturnRows() []Row {
	return inTurn(
		Row{
			Name: "the node does not come back", Fault: "the machine stays off", When: "after the grant", Lasts: "until somebody turns it on",
			Phase: granted, Message: "the node is not back after 3s", End: twoDone, Requests: 200, Quick: true,
			Play: func(s *Stage) (string, error) {
				q := s.queue(2)
				lost, other := q.nodes[0], q.nodes[1]
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Reboot.Timeout = seconds(3) })
				q.start(lab.CoordinatorOptions{})
				lost.SetComeback(lab.Comeback{Never: true})
				q.ask(lost)
				q.awaitPhase(lost, v1alpha1.PhaseGranted, "")
				q.ask(other)
				q.awaitFault(lost)
				q.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)
				must(q.Lab.AwaitSlots(q.ctx, lost.Name()))
				must(lost.Stop(q.ctx))
				must(lost.Start(q.ctx))

				return q.done()
			},
		},
		Row{
			Name: "the agent dies after the grant", Fault: "all that runs on the node ends, and starts again in the same boot", When: "after the grant", Lasts: "once",
			Phase: granted, Message: "the node has not rebooted yet", End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.start(lab.CoordinatorOptions{})
				node.SetComeback(lab.Comeback{SameBoot: true})
				q.ask(node)
				q.awaitFault(node)
				q.Await("the agent has begun anew", func() bool { return len(node.Boots()) > 1 })
				node.SetComeback(lab.Comeback{})

				return q.done()
			},
		},
		Row{
			Name: "the node is back and not Ready", Fault: "its network is not configured", When: "in the new boot", Lasts: "until the other node has waited for it",
			Phase: back, Message: "the node is not Ready", End: twoDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(2)
				node, other := q.nodes[0], q.nodes[1]
				q.start(lab.CoordinatorOptions{})
				node.SetComeback(lab.Comeback{NoNetwork: true})
				q.ask(node)
				q.awaitFault(node)
				q.ask(other)
				q.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)
				must(q.Lab.AwaitSlots(q.ctx, node.Name()))
				q.Check(q.witness.Cordoned(node.Name()) > 0, "the node is not cordoned")
				node.SetComeback(lab.Comeback{})
				must(node.InstallNetwork())

				return q.done()
			},
		},
	)
}

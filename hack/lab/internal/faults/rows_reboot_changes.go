// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"os"
	"path/filepath"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// inTheMiddle starts a coordinator and has the first node in the middle of a drain
// that does not end, which is seen.
func (q *queue) inTheMiddle() *Node {
	q.start(lab.CoordinatorOptions{})
	q.stick(q.nodes[0])
	q.ask(q.nodes[0])
	q.awaitFault(q.nodes[0])

	return q.nodes[0]
}

// rebootChangeRows are about what others change in the middle.
func rebootChangeRows() []Row {
	return inTurn(
		Row{
			Name: "somebody else has cordoned the node before", Fault: "a cordon of somebody else", When: "before the request", Lasts: "for ever",
			End: "a: Done, reboots: 1, cordoned by somebody else", Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.start(lab.CoordinatorOptions{})
				must(node.Cordon(q.ctx, true))
				q.ask(node)
				q.awaitPhase(node, v1alpha1.PhaseDone, "")

				for _, sight := range q.witness.Nodes(node.Name()) {
					q.Check(sight.Mark == "", "the coordinator has called the cordon its own")
				}

				return q.ended()
			},
		},
		Row{
			Name: "somebody uncordons the node in the middle of a drain", Fault: "kubectl uncordon", When: "in the drain", Lasts: "for ever",
			Phase: cordoned, Message: cannotEvict, End: oneGivenBack, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.inTheMiddle()
				must(node.Cordon(q.ctx, false))
				q.awaitGivenBack(node, reboot.ReasonCordonLifted)

				return q.waiting(node)
			},
		},
		Row{
			Name: "the Node is deleted in the middle of a drain", Fault: "the machine and its Node are gone", When: "in the drain", Lasts: "for ever",
			Phase: cordoned, Message: cannotEvict, End: "a: no such node; b: Done, reboots: 1, schedulable", Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(2)
				deleted, other := q.inTheMiddle(), q.nodes[1]
				q.ask(other)
				q.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)
				must(q.Lab.RemoveNode(q.ctx, deleted.Node))
				q.awaitRebooted(other)
				must(q.Lab.AwaitNoReboot(q.ctx, deleted.Name()))

				return q.ended()
			},
		},
		Row{
			Name: "the policy is deleted in the middle of a drain", Fault: "no RebootPolicy selects the node", When: "in the drain", Lasts: "for ever",
			Phase: cordoned, Message: cannotEvict, End: "a: Pending (NoPolicy), reboots: 0, schedulable", Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.inTheMiddle()
				must(q.Lab.Remove(q.ctx, v1alpha1.ResourceRebootPolicies, q.policy.Name))
				q.awaitGivenBack(node, reboot.ReasonNoPolicy)
				q.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonNoPolicy)

				return q.ended()
			},
		},
		Row{
			Name: "the window closes in the middle of a drain", Fault: "a window of other days", When: "in the drain", Lasts: "for ever",
			Phase: cordoned, Message: cannotEvict, End: "a: Pending (OutsideWindow), reboots: 0, schedulable", Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.inTheMiddle()
				day := func(days int) v1alpha1.Weekday {
					return v1alpha1.Weekday(time.Now().UTC().AddDate(0, 0, days).Format("Mon"))
				}

				// It is closed whatever the time.
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) {
					policy.Windows = []v1alpha1.Window{{Days: []v1alpha1.Weekday{day(3), day(4)}, Start: "01:00", End: "02:00", TimeZone: "UTC"}}
				})
				q.awaitGivenBack(node, reboot.ReasonOutsideWindow)
				q.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonOutsideWindow)

				return q.ended()
			},
		},
		Row{
			Name: "the node takes its wish back in the middle of a drain", Fault: "the sentinel file is removed", When: "in the drain", Lasts: "for ever",
			Phase: cordoned, Message: cannotEvict, End: "a: no NodeReboot, reboots: 0, schedulable", Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.inTheMiddle()
				must(os.Remove(filepath.Join(node.Root(), "run", "reboot-required")))
				must(q.Lab.AwaitNoReboot(q.ctx, node.Name()))
				must(node.AwaitReturned(q.ctx))

				return q.ended()
			},
		},
	)
}

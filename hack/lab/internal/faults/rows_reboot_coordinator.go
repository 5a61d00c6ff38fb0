// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// How reboots end.
const (
	oneDone      = "a: Done, reboots: 1, schedulable"
	twoDone      = oneDone + "; b: Done, reboots: 1, schedulable"
	oneGivenBack = "a: Pending (BackOff), reboots: 0, schedulable"
)

// What is said of a reboot again and again.
const (
	cordoned = string(v1alpha1.PhaseCordoned)
	pending  = string(v1alpha1.PhasePending)
	granted  = string(v1alpha1.PhaseGranted)

	cannotEvict = "Cannot evict pod as it would violate the pod's disruption budget"
)

// rebootSteps are those in which a reboot can be met.
func rebootSteps() []v1alpha1.Phase {
	return []v1alpha1.Phase{v1alpha1.PhaseCordoned, v1alpha1.PhaseDrained, v1alpha1.PhaseGranted, v1alpha1.PhaseBack}
}

// atEachStep does something as soon as the node's reboot is seen in a step. Each
// step lasts for a second at least.
func (q *queue) atEachStep(node *Node, do func()) {
	q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) {
		policy.Reboot.Delay, policy.Gates.Settle = seconds(1), seconds(2)
	})
	q.run(node, 2, 2)
	q.ask(node)

	for _, phase := range rebootSteps() {
		q.awaitPhase(node, phase, "")
		do()
	}
}

// rebootCoordinatorRows are about the coordinator itself.
func rebootCoordinatorRows() []Row {
	return inTurn(
		Row{
			Name: "nothing is wrong with a reboot", Fault: "none", When: "never", Lasts: "for ever",
			End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				q.start(lab.CoordinatorOptions{})
				q.run(q.nodes[0], 2, 2)
				q.ask(q.nodes[0])

				return q.done()
			},
		},
		Row{
			Name: "the coordinator that leads is killed at each step", Fault: "SIGKILL, and it is started again", When: "in Cordoned, Drained, Granted and Back", Lasts: "until another one leads",
			End: oneDone, Requests: 200, Quick: true,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				q.start(lab.CoordinatorOptions{})
				q.start(lab.CoordinatorOptions{})

				leader := q.leader()

				q.atEachStep(q.nodes[0], func() {
					must(leader.Kill())
					must(leader.Start(q.ctx))
					leader = q.leader()
				})

				return q.done()
			},
		},
		Row{
			Name: "both coordinators are killed while a budget blocks", Fault: "SIGKILL of both, and they are started again", When: "in the middle of a drain", Lasts: "until one leads",
			Phase: cordoned, Message: cannotEvict, End: oneGivenBack, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(4) })
				q.start(lab.CoordinatorOptions{})
				q.start(lab.CoordinatorOptions{})
				q.stick(node)
				q.ask(node)
				q.awaitFault(node)

				for _, replica := range q.replicas {
					must(replica.Kill())
				}

				for _, replica := range q.replicas {
					must(replica.Start(q.ctx))
				}

				q.awaitGivenBack(node, reboot.ReasonBlocked)

				return q.waiting(node)
			},
		},
		Row{
			Name: "the coordinator is killed while it gives a node back", Fault: "SIGKILL, and it is started again", When: "in Restoring", Lasts: "until it leads again",
			End: oneGivenBack, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(2) })
				leader := q.start(lab.CoordinatorOptions{})
				q.stick(node)
				q.ask(node)
				q.awaitPhase(node, v1alpha1.PhaseRestoring, "")
				must(leader.Kill())
				must(leader.Start(q.ctx))
				q.awaitGivenBack(node, reboot.ReasonBlocked)

				return q.waiting(node)
			},
		},
		Row{
			Name: "the leader stands still, and comes back when another one leads", Fault: "SIGSTOP, then SIGCONT", When: "in the middle of a drain", Lasts: "until the other one is done",
			Phase: cordoned, Message: cannotEvict, End: oneDone, Requests: 200,
			Play: playStandstill,
		},
		Row{
			Name: "what the first of two leaders has sent arrives late", Fault: "the network keeps the first leader's cordon and its Lease", When: "before the cordon", Lasts: "until another one has done all of it",
			End: twoDone, Requests: 350,
			Play: playLateArrival,
		},
		Row{
			Name: "the leader loses its Lease to another one", Fault: "its connections go silent", When: "in the middle of a drain", Lasts: "until the other one is done",
			Phase: cordoned, Message: cannotEvict, End: oneDone, Requests: 200,
			Play: playLostLease,
		},
	)
}

// playStandstill stops the leader's process in the middle of a drain, and lets it go on when
// another one is done.
func playStandstill(s *Stage) (string, error) {
	q := s.queue(1)
	node := q.nodes[0]
	first := q.start(lab.CoordinatorOptions{})
	second := q.start(lab.CoordinatorOptions{})

	if leader := q.leader(); leader == second {
		first, second = second, first
	}

	q.stick(node)
	q.ask(node)
	q.awaitFault(node)
	must(first.Pause())
	must1(lab.AwaitLeader(q.ctx, second))
	q.free()
	q.awaitRebooted(node)

	before := q.nodeWrites(node)

	must(first.Resume())

	select {
	case <-first.Ended():
	case <-q.ctx.Done():
		return "", errors.New("the first leader does not end itself")
	}

	q.Check(q.nodeWrites(node) == before, "the first leader has written to the node")

	return q.done()
}

// playLateArrival keeps what the first leader sends to a node in the network until the
// second one has done all of it.
func playLateArrival(s *Stage) (string, error) {
	q := s.queue(2)
	proxy := must1(q.Lab.Proxy())
	q.start(lab.CoordinatorOptions{Proxy: proxy})
	q.leader()

	isHeld := func(requests []string) bool {
		for _, request := range requests {
			if !strings.Contains(request, "/"+lease+"/") {
				return true
			}
		}

		return false
	}

	proxy.Hold(func(request *http.Request) bool {
		return isOn("nodes")(request) || isOn(lease)(request) && isHeld(proxy.Held())
	})
	q.ask(q.nodes[0])
	must(proxy.AwaitHeld(q.ctx, isHeld))

	q.start(lab.CoordinatorOptions{})
	q.ask(q.nodes[1])
	q.awaitRebooted(q.nodes...)

	// With the finalizer goes the last that the second leader has to do.
	for _, node := range q.nodes {
		q.await(node, func(r *v1alpha1.NodeReboot) bool { return len(r.Finalizers) == 0 })
	}

	before := q.nodeWrites(q.nodes[0])
	late := time.Now()

	proxy.Release()

	var arrived []lab.AuditRecord

	q.Await("what was held has arrived", func() bool {
		arrived = q.Audit(func(record lab.AuditRecord) bool {
			return record.Time.After(late) && record.User == lab.CoordinatorAccount.User() && record.Resource == "nodes" && record.Verb == "patch"
		})

		return len(arrived) > 0
	})

	for _, record := range arrived {
		q.Check(record.Code == http.StatusConflict, "%s of a node was answered with %d", record.Verb, record.Code)
	}

	q.Check(q.nodeWrites(q.nodes[0]) == before, "what arrived late has changed the node")

	return q.done()
}

// playLostLease silences the leader's network until another one is done.
func playLostLease(s *Stage) (string, error) {
	q := s.queue(1)
	node := q.nodes[0]
	proxy := must1(q.Lab.Proxy())
	first := q.start(lab.CoordinatorOptions{Proxy: proxy})
	q.leader()

	second := q.start(lab.CoordinatorOptions{})

	q.stick(node)
	q.ask(node)
	q.awaitFault(node)
	proxy.Freeze()
	must1(lab.AwaitLeader(q.ctx, second))

	select {
	case <-first.Ended():
	case <-q.ctx.Done():
		return "", errors.New("the first leader does not end itself")
	}

	q.free()
	q.awaitRebooted(node)
	proxy.Thaw()

	return q.done()
}

// nodeWrites counts the requests of coordinators that have changed the node.
func (q *queue) nodeWrites(node *Node) int {
	return len(q.Audit(func(record lab.AuditRecord) bool {
		return record.User == lab.CoordinatorAccount.User() && record.Node != nil && record.Name == node.Name()
	}))
}

// waiting tells how a node stands that was given back, once it waits for its next
// attempt.
func (q *queue) waiting(node *Node) (string, error) {
	q.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonBackOff)

	return q.ended()
}

// inTurn puts rows after each other: a cluster has one RebootBudget.
func inTurn(rows ...Row) []Row {
	for i := range rows {
		rows[i].Place = InTurn
	}

	return rows
}

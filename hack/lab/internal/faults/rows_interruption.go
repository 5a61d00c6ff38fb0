// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// interruptedEnd is how it ends when a recovery was cut off and another one
// followed.
const interruptedEnd = "recovered in the next boot, the Failed pod was deleted once, and all pods are Ready"

// recoveryStep is a moment of the recovery of DaemonSet proxy.
type recoveryStep struct {
	when  string
	await func(*Node)
}

// recoverySteps are those at which a recovery is cut off.
func recoverySteps() []recoveryStep {
	record := func(wanted func(specs.DaemonSetRecovery) bool) func(*Node) {
		return func(node *Node) { node.AwaitRecord("proxy", wanted) }
	}

	return []recoveryStep{
		{"before the kubelet has registered", func(node *Node) { node.AwaitPhase(specs.PhaseWaiting) }},
		{"when the Failed pod is found", record(func(rec specs.DaemonSetRecovery) bool { return rec.Attempts > 0 })},
		{"when the Failed pod is deleted", record(func(rec specs.DaemonSetRecovery) bool { return rec.Deleted > 0 })},
		{"while the replacement starts", record(func(rec specs.DaemonSetRecovery) bool { return rec.Replacement != "" })},
		{"while nothing may fail for a time", record(func(rec specs.DaemonSetRecovery) bool { return rec.Phase == specs.DaemonSetPhaseRecovered })},
	}
}

// interruptionRows cut a recovery off at each of its steps.
func interruptionRows() []Row {
	steps := recoverySteps()
	rows := make([]Row, 0, 2*len(steps)+1)

	for i, step := range steps {
		row := Row{Lasts: "once", End: interruptedEnd, Requests: 40, When: step.when}

		cut := row
		cut.Name, cut.Fault, cut.Play = "the power fails "+step.when, "hard reboot", playInterruption(step, (*lab.Node).Kill)
		cut.Quick = i == 1

		reboot := row
		reboot.Name, reboot.Fault = "the node reboots "+step.when, "graceful reboot"
		reboot.Play = func(s *Stage) (string, error) {
			return playInterruption(step, func(node *lab.Node) error { return node.Stop(s.ctx) })(s)
		}

		rows = append(rows, cut, reboot)
	}

	return append(rows, Row{
		Name: "the power fails in the middle of a shutdown", Fault: "hard reboot", When: "when the pods have failed in a graceful shutdown", Lasts: "once",
		End: interruptedEnd, Requests: 30,
		Play: func(s *Stage) (string, error) {
			node := s.AddNode("", s.Rebound())
			daemonSet := s.Apply("proxy")
			s.AwaitReady()
			s.SuspendBackOff()
			node.AwaitPhase(specs.PhaseRecovered)

			left := node.Pod(daemonSet).Name

			must(node.BeginShutdown())
			s.Await("the pod has failed", func() bool { return node.Pod(daemonSet).Status.Phase == "Failed" })
			must(node.Kill())
			must(node.Start(s.ctx))

			return s.endOfInterruption(node, left), nil
		},
	})
}

// playInterruption boots a node on which there is a Failed pod, ends it at the
// step, and boots it again.
func playInterruption(step recoveryStep, end func(*lab.Node) error) func(*Stage) (string, error) {
	return func(s *Stage) (string, error) {
		node := s.fail(s.Rebound())
		left := s.Pods()[0].Name

		must(node.Boot(s.ctx))
		step.await(node)
		must(end(node.Node))
		must(node.Start(s.ctx))

		return s.endOfInterruption(node, left), nil
	}
}

// endOfInterruption waits for the end, and checks that no pod was deleted twice.
func (s *Stage) endOfInterruption(node *Node, left string) string {
	status := node.AwaitPhase(specs.PhaseRecovered)
	must1(node.WaitDaemonSetPodsReady(s.ctx))

	s.checkDistinct(node.Deletes())
	s.Check(node.hasTriedToDelete(left), "the Failed pod was not deleted")

	return phaseName(status.Phase) + " in the next boot, the Failed pod was deleted once, and all pods are Ready"
}

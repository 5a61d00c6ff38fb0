// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// rejectionCap is that of a row that does not wait for the tenth rejection.
const rejectionCap = 3

// machineRows are about the machine that rebound is a part of.
func machineRows() []Row {
	return []Row{
		{
			Name: "the boot id cannot be read", Fault: "there is no file with the boot id", When: "from boot on", Lasts: "until rebound has said so",
			Phase: "waiting", Message: "failed to read the boot id", End: oneBack, Requests: 20, Play: playBootID,
		},
		{
			Name: "the controller panics at each step", Fault: "it panics once at each of eight steps, in its own goroutine or in that of a request",
			When: "from the first look to the Ready replacement", Lasts: "until the COSI runtime has started it again",
			End:      "degraded (2 DaemonSets recovered, one handed back after 3 deletes), no pod deleted twice, and rebound has panicked at each step",
			Requests: 150, Quick: true, Play: playPanics,
		},
		{
			Name: "a shutdown is cancelled", Fault: "logind announces a shutdown and takes it back", When: "while recovering", Lasts: "until the pods have failed",
			Phase: "waiting", Message: "says that the node is shutting down",
			End:      "recovered (DaemonSets: 2 recovered), pods deleted: 4, and all pods are Ready",
			Requests: 60, Play: playCancelledShutdown,
		},
		{
			Name: "a node reboots twenty times in a row", Fault: "graceful reboots", When: "as soon as the node has recovered", Lasts: "twenty times",
			End:      "all pods were Ready within 10 s each time, while the DaemonSet controller came to wait for 15 s and more",
			Requests: 500, Limit: 12 * time.Minute, Play: playManyReboots,
		},
		{
			Name: "the power of the whole cluster fails", Fault: "control plane and nodes are killed at once, etcd keeps its data",
			When: "while one node is down with a Failed pod, and another is up", Lasts: "until all is off",
			End:      "NODE-down: " + oneBack + "; NODE-up: recovered (no Failed DaemonSet pods), pods deleted: 0, and all pods are Ready",
			Requests: 120, Place: Alone, Play: playPowerCycle,
		},
	}
}

func playBootID(s *Stage) (string, error) {
	node := s.fail(s.Rebound())
	must(node.HideBootID())

	before := len(node.Requests())

	must(node.Start(s.ctx))

	// While it is not known, nothing can be said of this boot.
	st := must1(node.Recovery())
	must1(lab.AwaitSpec(s.ctx, st, recoveryres.NewRecoveryStatus().Metadata(), func(status specs.RecoveryStatus) bool {
		return s.Saw(phaseName(status.Phase), status.Message)
	}))
	must1(node.WaitKubeletHealthy(s.ctx))
	s.Check(len(node.Requests()) == before, "rebound has asked the API server for something before it knew the boot")
	must(node.ShowBootID())

	return node.End(), nil
}

// playPanics has pods to delete, of which one's answer is lost, and pods that are
// rejected for ever.
func playPanics(s *Stage) (string, error) {
	node := s.AddNode("", lab.WithRebound(lab.RejectionCap(rejectionCap)))
	s.Apply("cni")
	s.Apply("proxy")
	s.AwaitReady()
	s.SuspendBackOff()
	must(node.Stop(s.ctx))
	s.Apply("tuner", lab.Sysctl("net.core.somaxconn", "1024"))
	must(node.PanicAt(lab.Moments()...))
	must(node.Start(s.ctx))

	status := node.Await(func(status specs.RecoveryStatus) bool {
		return status.Phase == specs.PhaseDegraded && status.Counts.Recovered == 2 && status.Counts.Exhausted == 1
	})
	deletes := node.Deletes()
	s.checkDistinct(deletes)
	s.Check(len(deletes) == 2+rejectionCap, "pods deleted: %d", len(deletes))

	log := must1(node.Log())

	for _, moment := range lab.Moments() {
		s.Check(contains(log, lab.PanicText(moment)), "rebound has not panicked when %s", moment)
	}

	return phaseName(status.Phase) + " (2 DaemonSets recovered, one handed back after 3 deletes), no pod deleted twice, and rebound has panicked at each step", nil
}

// checkDistinct ends the row if a pod was deleted more than once.
func (s *Stage) checkDistinct(deletes []lab.AuditRecord) {
	seen := map[string]bool{}

	for _, record := range deletes {
		s.Check(!seen[record.Name], "pod %q was deleted twice", record.Name)
		seen[record.Name] = true
	}
}

// playCancelledShutdown keeps the recovery open with a pod that is held: a node
// that has recovered does not look at the API server any more. The pods of the
// last boot are deleted, and their replacements, which the shutdown has ended.
func playCancelledShutdown(s *Stage) (string, error) {
	node := s.AddNode("", s.Rebound())
	storage := s.Apply("storage")
	s.Apply("proxy")
	s.AwaitReady()
	s.SuspendBackOff()

	letGo := s.Hold(node.Pod(storage))

	must(node.Reboot(s.ctx))
	node.Await(func(status specs.RecoveryStatus) bool {
		return status.Counts.Blocked == 1 && status.Counts.Recovered == 1
	})

	before := len(node.Deletes())

	must(node.BeginShutdown())
	node.AwaitFault()
	s.Check(len(node.Deletes()) == before, "rebound has deleted a pod in a shutdown")
	must(node.CancelShutdown())
	must1(node.AwaitObject(s.ctx, lab.IsNodeReady))
	letGo()

	return node.End(), nil
}

const (
	manyReboots = 20
	// backInService is the promise: so soon after the kubelet is healthy the pods are
	// Ready, however often the node was rebooted.
	backInService = 10 * time.Second
	// longBackOff is a back-off of the DaemonSet controller that would break it.
	longBackOff = 15 * time.Second
)

func playManyReboots(s *Stage) (string, error) {
	node := s.AddNode("", s.Rebound())
	s.Apply("cni", lab.Critical(), lab.HostNetwork(), lab.InitContainer("install"))
	s.Apply("proxy")
	s.AwaitReady()

	for i := range manyReboots {
		must(node.Reboot(s.ctx))

		healthy := must1(node.WaitKubeletHealthy(s.ctx))
		wait := must1(node.WaitDaemonSetPodsReady(s.ctx)).Sub(healthy)

		s.Check(wait < backInService, "after reboot %d the pods were not Ready for %s", i+1, wait)
		node.AwaitPhase(specs.PhaseRecovered)
	}

	s.Check(s.longestBackOff(node) >= longBackOff, "the DaemonSet controller has never waited for more than %s", s.longestBackOff(node))

	return "all pods were Ready within 10 s each time, while the DaemonSet controller came to wait for 15 s and more", nil
}

// longestBackOff is the longest time between two deletes of the node's pods by
// the DaemonSet controller, or since its last one.
func (s *Stage) longestBackOff(node *Node) time.Duration {
	var longest time.Duration

	last := map[string]time.Time{}

	for _, record := range s.Audit(func(record lab.AuditRecord) bool {
		return record.User == lab.DaemonSetController && record.DeletesPod() && record.Pod != nil && record.Pod.Spec.NodeName == node.Name()
	}) {
		app := record.Pod.Labels["app"]

		if at, ok := last[app]; ok {
			longest = max(longest, record.Time.Sub(at))
		}

		last[app] = record.Time
	}

	for _, at := range last {
		longest = max(longest, time.Since(at))
	}

	return longest
}

func playPowerCycle(s *Stage) (string, error) {
	down, up := s.AddNode("-down", s.Rebound()), s.AddNode("-up", s.Rebound())
	s.Apply("proxy")
	s.AwaitReady()
	s.SuspendBackOff()
	must(down.Stop(s.ctx))

	must(s.Lab.CutPower())
	must(s.Lab.RestorePower(s.ctx))

	return "NODE-down: " + down.End() + "; NODE-up: " + up.End(), nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// fullNode is how many pods a kubelet runs at the most unless told otherwise.
	fullNode = 110
	// contested is a port that two DaemonSets want.
	contested = 18080
)

// podRows are about the pods that are there.
func podRows() []Row {
	return []Row{
		{
			Name: "a full node has 110 Failed pods at once", Fault: "as many DaemonSets as a node has room for", When: "when the node boots", Lasts: "once",
			End:      "recovered (DaemonSets: 110 recovered), pods deleted: 110, and all pods are Ready",
			Requests: 12 + 4*fullNode, Limit: 8 * time.Minute, Play: playFullNode,
		},
		{
			Name: "two DaemonSets fight for a port", Fault: "a pod of either asks for the same port of the node", When: "from before the reboot on", Lasts: "until one asks for another",
			End: "one of them had its pod Ready, no pod was deleted over and over; then recovered, and all pods are Ready", Requests: 80, Play: playContest,
		},
	}
}

func playFullNode(s *Stage) (string, error) {
	node := s.AddNode("", s.Rebound())

	var group errgroup.Group

	group.SetLimit(10)

	for i := range fullNode {
		daemonSet := s.build(fmt.Sprintf("set%d", i))

		group.Go(func() error {
			_, err := s.Lab.ApplyDaemonSet(s.ctx, daemonSet)

			return err
		})
	}

	must(group.Wait())
	s.AwaitReady()
	s.SuspendBackOff()

	// A machine that goes down has no time to say so of all of them.
	must(node.BeginShutdown())
	s.Await("all pods have failed", func() bool {
		return !slices.ContainsFunc(s.Pods(), func(pod corev1.Pod) bool { return pod.Status.Phase != corev1.PodFailed })
	})
	must(node.HardReboot(s.ctx))

	return node.End(), nil
}

// playContest has two DaemonSets of which only one can have a pod on the node.
// Which of them it is after a reboot is the scheduler's choice, and so is whether
// rebound knows of the other one, whose pod is bound to no node.
func playContest(s *Stage) (string, error) {
	node := s.AddNode("", s.Rebound())
	s.Apply("blue", lab.HostPort(contested))
	s.AwaitReady()
	s.Apply("green", lab.HostPort(contested))

	before := s.Pods()

	must(node.Reboot(s.ctx))
	s.Await("one of them has its pod Ready", func() bool {
		return slices.ContainsFunc(s.Pods(), func(pod corev1.Pod) bool {
			return lab.IsPodReady(&pod) && !slices.ContainsFunc(before, func(was corev1.Pod) bool { return was.UID == pod.UID })
		})
	})

	deletes := len(node.Deletes())
	s.Stays("no pod is deleted over and over", 15*time.Second, func() bool { return len(node.Deletes()) <= deletes+1 })

	s.Apply("green")
	status := node.AwaitPhase(specs.PhaseRecovered)
	s.AwaitReady()

	return "one of them had its pod Ready, no pod was deleted over and over; then " + phaseName(status.Phase) + ", and all pods are Ready", nil
}

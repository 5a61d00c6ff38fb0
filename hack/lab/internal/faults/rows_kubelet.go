// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// lateDevice is when a device plugin with a slow driver is ready.
	lateDevice = 90 * time.Second
	// lateDeletes is how many pods are deleted until then at the most: at 0, 1, 2, 4,
	// 8, 16, 32 and 64 s.
	lateDeletes = 8

	kubeletRestarts = 10
)

// kubeletRows are about the kubelet.
func kubeletRows() []Row {
	return []Row{
		{
			Name: "the kubelet is killed", Fault: "SIGKILL", When: "in the middle of a recovery", Lasts: "5 s, until the machine starts it again",
			Phase: "waiting", Message: "waiting for the kubelet to run", End: oneBack, Requests: 40,
			Play: func(s *Stage) (string, error) {
				node, letGo := s.heldOnce()
				must(node.KillKubelet())
				node.AwaitFault()
				letGo()

				return node.End(), nil
			},
		},
		{
			Name: "the kubelet hangs", Fault: "SIGSTOP", When: "in the middle of a recovery", Lasts: "until its health check has failed",
			Phase: "waiting", Message: "waiting for the kubelet to be healthy", End: oneBack, Requests: 60,
			Play: func(s *Stage) (string, error) {
				node, letGo := s.heldOnce()
				must(node.FreezeKubelet())
				node.AwaitFault()
				letGo()
				must(node.ThawKubelet())

				return node.End(), nil
			},
		},
		{
			Name: "the kubelet is restarted ten times", Fault: "SIGKILL", When: "as soon as the node has recovered", Lasts: "ten times",
			Phase: "waiting", Message: "waiting for the kubelet to run", End: oneBack, Requests: 150, Limit: 6 * time.Minute,
			Play: func(s *Stage) (string, error) {
				node := s.fail(s.Rebound())
				must(node.Start(s.ctx))
				node.AwaitPhase(specs.PhaseRecovered)

				for range kubeletRestarts {
					must(node.KillKubelet())
					node.AwaitFault()
					node.AwaitPhase(specs.PhaseRecovered)
				}

				return node.End(), nil
			},
		},
		{
			Name: "the kubelet rejects a pod for ever", Fault: "the pod asks for a sysctl that is not allowed", When: "from boot on", Lasts: "for ever",
			Phase: "degraded", Message: "tuner: tuner-POD failed again after 10 deletes (SysctlForbidden); left to the DaemonSet controller",
			End:      "degraded (tuner: tuner-POD failed again after 10 deletes (SysctlForbidden); left to the DaemonSet controller), pods deleted: 10",
			Requests: 120, Limit: 13 * time.Minute,
			Play: func(s *Stage) (string, error) {
				// The kubelet tells of a pod that it rejects at its start only after ten seconds.
				s.Apply("tuner", lab.Sysctl("net.core.somaxconn", "1024"))
				node := s.AddNode("", lab.WithRebound())
				s.SuspendBackOff()

				status := node.AwaitFault()
				s.Stays("no pod is deleted", 5*time.Second, func() bool { return len(node.Deletes()) == 10 })

				return node.Tell(status), nil
			},
		},
		{
			Name: "a device plugin is late by 90 s", Fault: "the device cannot be allocated", When: "from the start of the kubelet on", Lasts: "90 s",
			Phase: "recovering", Message: "driver: ", End: "recovered (DaemonSets: 1 recovered), after at most 8 deletes, and all pods are Ready",
			Requests: 60, Limit: 6 * time.Minute,
			Play: func(s *Stage) (string, error) {
				s.Apply("driver", lab.Requests(device))
				node := s.AddNode("", lab.WithRebound(), lab.WithDeviceAfter(device, lateDevice))
				s.SuspendBackOff()
				node.AwaitFault()

				status := node.AwaitPhase(specs.PhaseRecovered)
				must1(node.WaitDaemonSetPodsReady(s.ctx))

				n := len(node.Deletes())
				s.Check(n > 0 && n <= lateDeletes, "pods deleted: %d", n)

				return phaseName(status.Phase) + " (" + s.Plain(status.Message) + "), after at most 8 deletes, and all pods are Ready", nil
			},
		},
	}
}

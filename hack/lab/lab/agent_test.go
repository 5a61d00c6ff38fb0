// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// rebound is the path of the binary that is released, built once for all tests.
var rebound = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "rebound-")
	if err != nil {
		return "", err
	}

	reboundFolder = folder
	path := filepath.Join(folder, "rebound")

	return path, labtest.BuildRebound(context.Background(), filepath.Join("..", "..", ".."), path)
})

// reboundFolder is to be removed at the end; empty if nothing was built.
var reboundFolder string

// withAgent gives a node the agent, with a settle time that does not hold up a test.
func withAgent(t *testing.T, on platform.Name, args ...string) lab.NodeOption {
	t.Helper()

	binary, err := rebound()
	require.NoError(t, err)

	return lab.WithAgent(lab.Agent{Binary: binary, Platform: on, Args: append([]string{"--settle-time=1s"}, args...)})
}

// TestAgentOnEveryPlatform has the agent started by the kubelet from what
// rebound manifest prints, from a folder or over HTTP.
func TestAgentOnEveryPlatform(t *testing.T) {
	t.Parallel()

	for _, on := range []platform.Name{platform.Talos, platform.Kubeadm, platform.K3s, platform.RKE2} {
		t.Run(string(on), func(t *testing.T) {
			s := newScenario(t, "agent-"+string(on))
			node := s.addNode("", withAgent(t, on))
			daemonSet := s.apply("cni")
			s.awaitReady()
			s.suspendBackOff()

			var status specs.RecoveryStatus

			for range 2 {
				left := node.pod(daemonSet)
				waited := s.reboot()[0]
				t.Logf("%s after the kubelet was healthy", waited)
				assert.Less(t, waited, backInService)

				status = node.awaitPhase(specs.PhaseRecovered)
				assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
				assert.Contains(t, node.deleted(), left.Name)
			}

			report, condition := node.awaitReport(func(report specs.NodeReport) bool { return report.Phase == specs.PhaseRecovered })
			assert.Equal(t, specs.NodeReport{
				Host: specs.HostAgent, BootID: node.BootID(), Phase: specs.PhaseRecovered, Message: "DaemonSets: 1 recovered",
				FinishedAt: status.FinishedAt.UTC().Truncate(time.Second),
			}, report)
			assert.Equal(t, corev1.ConditionTrue, condition.Status)
			assert.Equal(t, "boot "+node.BootID()+": DaemonSets: 1 recovered", condition.Message)
		})
	}
}

// awaitReport waits until the Node object says about the present boot what is
// wanted, and returns the annotation and the condition.
func (n *node) awaitReport(wanted func(specs.NodeReport) bool) (report specs.NodeReport, condition corev1.NodeCondition) {
	require.Eventually(n.t, func() bool {
		object, err := n.cluster.Client().CoreV1().Nodes().Get(n.ctx, n.Name(), metav1.GetOptions{})
		require.NoError(n.t, err)

		report, err = specs.ParseNodeReport(object.Annotations[specs.NodeAnnotation])

		for _, condition = range object.Status.Conditions {
			if condition.Type == specs.NodeCondition {
				break
			}
		}

		return err == nil && report.BootID == n.BootID() && wanted(report)
	}, time.Minute, 100*time.Millisecond)

	return report, condition
}

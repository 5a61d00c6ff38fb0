// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// firstRejection is when a pod that the kubelet rejects as it starts is seen to
// have Failed. The kubelet does not let a pod end before it has looked once for
// containers that may still run, and writes the status it has withheld only
// with its next round over all pods, which it makes every ten seconds. So a
// test of rejections must not settle for less than rebound's default.
const firstRejection = 10 * time.Second

func TestRejectedPodIsRetriedWithGrowingDelays(t *testing.T) {
	retry(newScenario(t, "retry"), lab.WithRebound())
}

func TestAgentRetriesARejectedPodWithGrowingDelays(t *testing.T) {
	retry(newScenario(t, "agent-retry"), withAgent(t, platform.RKE2, "--settle-time=0"))
}

// retry has the kubelet reject a pod again and again, for as long as its device cannot be allocated.
func retry(s *scenario, rebound lab.NodeOption) {
	const device = "example.com/accelerator"

	t := s.t
	s.apply("driver", lab.Requests(device))

	node := s.addNode("", rebound, lab.WithDeviceAfter(device, firstRejection+2*time.Second))
	s.suspendBackOff()

	rejected := node.awaitRecord("driver", func(record specs.DaemonSetRecovery) bool {
		return record.Rejections > 1
	})
	assert.Equal(t, "UnexpectedAdmissionError", rejected.Reason)
	assert.Contains(t, rejected.Message, "cannot allocate unhealthy devices")

	status := node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, 1, status.Counts.Found)
	assert.Equal(t, 1, status.Counts.Recovered)

	record := node.records()["driver"]
	assert.Equal(t, specs.DaemonSetPhaseRecovered, record.Phase)
	assert.GreaterOrEqual(t, record.Rejections, 2)
	assert.Equal(t, record.Rejections, record.Attempts)

	deletes := node.deletes()
	require.Len(t, node.deleted(), record.Attempts, "no more requests than attempts")
	assert.Equal(t, record.Attempts, record.Deleted)
	assert.Len(t, deletes, record.Attempts)

	for i, request := range deletes {
		// The first delete is due at once, the next after one second, then two, four…
		due := request.Pod.Status.StartTime.Add(time.Duration(1<<i>>1) * time.Second)
		assert.False(t, request.Time.Before(due), "delete %d of a pod that started at %s came at %s", i+1, request.Pod.Status.StartTime, request.Time)
	}

	s.awaitReady()
}

func TestPodThatIsAlwaysRejectedIsHandedBack(t *testing.T) {
	const limit = 3

	s := newScenario(t, "cap")
	s.apply("tuner", lab.Sysctl("net.core.somaxconn", "1024"))

	node := s.addNode("", lab.WithRebound(lab.RejectionCap(limit)))

	status := node.awaitPhase(specs.PhaseDegraded)
	assert.Equal(t, 1, status.Counts.Exhausted)
	assert.Contains(t, status.Message, s.name+"/tuner: ")
	assert.Contains(t, status.Message, "failed again after 3 deletes (SysctlForbidden); left to the DaemonSet controller")

	// The DaemonSet controller may have deleted the pod by now, and another one been rejected.
	record := node.awaitRecord("tuner", func(now specs.DaemonSetRecovery) bool {
		return now.Phase == specs.DaemonSetPhaseExhausted
	})
	assert.Equal(t, "SysctlForbidden", record.Reason)
	assert.Equal(t, limit, record.Attempts)
	assert.Equal(t, limit, record.Rejections)
	assert.Len(t, node.deletes(), limit)
	assert.Len(t, node.deleted(), record.Deleted)

	// The DaemonSet controller goes on, and rebound only follows.
	next := node.awaitRecord("tuner", func(now specs.DaemonSetRecovery) bool {
		return now.FailedPodUID != record.FailedPodUID && now.Phase == specs.DaemonSetPhaseExhausted
	})
	assert.Equal(t, limit, next.Attempts)
	node.awaitPhase(specs.PhaseDegraded)

	// A DaemonSet that the kubelet admits.
	healed := s.apply("tuner")

	status = node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, 1, status.Counts.Recovered)
	assert.Zero(t, status.Counts.Exhausted)

	pod := node.pod(healed)
	assert.Equal(t, corev1.PodRunning, pod.Status.Phase)
	assert.Equal(t, pod.Name, node.records()["tuner"].Replacement)
	assert.Len(t, node.deletes(), limit, "not one more than the cap")
	s.awaitReady()
}

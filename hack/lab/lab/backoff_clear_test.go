// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/recovery"
)

func TestBackoffClearBringsBackARebootedNode(t *testing.T) {
	s := newScenario(t, "backoff-clear")
	s.apply("cni")
	s.apply("proxy", lab.Critical())
	s.apply("kept", lab.Annotations(map[string]string{recovery.SkipAnnotation: "true"}))

	node, other := s.addNode("-a"), s.addNode("-b")
	s.awaitReady()
	s.suspendBackOff()

	// While it goes down: the kubelet says so, and nothing is deleted.
	require.NoError(t, node.BeginShutdown())
	node.clearUntil(false, func(pods []cleared) bool { return len(pods) > 0 })
	assert.Empty(t, s.clearedBy(), "a node that is shutting down is left alone")

	require.NoError(t, node.Stop(s.ctx))
	assert.Empty(t, s.clearedBy())
	require.NoError(t, node.Start(s.ctx))

	// A dry run says what would be done, and does nothing.
	isDue := func(pods []cleared) bool {
		due := 0

		for _, pod := range pods {
			if pod.Outcome == "deleted" {
				due++
			}
		}

		return due == 2
	}
	node.clearUntil(true, isDue)
	assert.Empty(t, s.clearedBy(), "a dry run deletes nothing")
	assert.Len(t, s.backoffStatus("cni"), 1)

	for _, pod := range node.clearUntil(false, isDue) {
		if pod.Outcome != "deleted" {
			assert.Equal(t, "kept", pod.Outcome)
			assert.Equal(t, s.name+"/kept", pod.DaemonSet)
			assert.Contains(t, pod.Reason, "opted out")
		}
	}

	assert.Len(t, s.clearedBy(), 2)
	assert.Empty(t, s.backoffStatus("cni"))

	for _, record := range s.clearedBy() {
		require.NotNil(t, record.Pod)
		assert.Equal(t, node.Name(), record.Pod.Spec.NodeName)
	}

	for _, daemonSet := range []string{"cni", "proxy"} {
		node.awaitReadyPod(daemonSet)
		other.awaitReadyPod(daemonSet)
	}
}

func TestBackoffClearDeletesARejectedPodOnceARun(t *testing.T) {
	const device = "example.com/accelerator"

	s := newScenario(t, "backoff-once")
	s.apply("driver", lab.Requests(device))

	node := s.addNode("", lab.WithDeviceAfter(device, never))
	node.awaitBackOff("driver", 1)
	s.suspendBackOff()

	for run := 1; run <= 3; run++ {
		pods := node.clearUntil(false, func(pods []cleared) bool { return len(pods) == 1 && pods[0].Outcome == "deleted" })
		assert.Contains(t, pods[0].Reason, "rejected by the kubelet in this boot (UnexpectedAdmissionError)")
		assert.Len(t, s.clearedBy(), run, "one run, one delete")
	}
}

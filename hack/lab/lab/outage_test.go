// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestNodeWithoutReboundOutlastsItsControlPlane(t *testing.T) {
	t.Parallel()

	cluster := alone(t)
	s := newScenarioOn(t, cluster, "outage")
	node := s.addNode("")
	s.apply("proxy")
	s.awaitReady()

	// Without a DaemonSet controller nobody replaces the pod.
	require.NoError(t, cluster.StopComponent(component.ControllerManager))
	require.NoError(t, node.Reboot(s.ctx))

	_, err := node.WaitKubeletHealthy(s.ctx)
	require.NoError(t, err)

	pods := s.pods()
	require.Len(t, pods, 1)
	assert.Equal(t, corev1.PodFailed, pods[0].Status.Phase)
	assert.Equal(t, "Terminated", pods[0].Status.Reason)

	require.NoError(t, cluster.StartComponent(s.ctx, component.ControllerManager))
	s.awaitReady()

	// A node can be shut down without an API server.
	require.NoError(t, cluster.StopComponent(component.APIServer))
	require.NoError(t, node.Stop(s.ctx))
	require.NoError(t, cluster.StartComponent(s.ctx, component.APIServer))
	require.NoError(t, node.Start(s.ctx))
	s.awaitReady()
}

func TestMalformedKubeconfigIsNamedUntilItIsRepaired(t *testing.T) {
	s := newScenario(t, "kubeconfig")
	node := s.addNode("", withRebound())
	daemonSet := s.apply("proxy")
	s.awaitReady()

	letGo := s.hold(node.pod(daemonSet))
	require.NoError(t, node.Reboot(s.ctx))

	node.awaitPhase(specs.PhaseDegraded)

	good, err := os.ReadFile(node.KubeconfigPath())
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(node.KubeconfigPath(), []byte("{not a kubeconfig"), 0o600))

	node.awaitStatus(func(status specs.RecoveryStatus) bool {
		return status.Phase == specs.PhaseWaiting && strings.Contains(status.Message, node.KubeconfigPath())
	})

	require.NoError(t, os.WriteFile(node.KubeconfigPath(), good, 0o600))

	status := node.awaitPhase(specs.PhaseDegraded)
	assert.Equal(t, 1, status.Counts.Blocked, "what was counted before is not forgotten")

	letGo()

	status = node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, 1, status.Counts.Recovered)
}

func TestRotatedCertificateIsTakenUpInTheMiddleOfARecovery(t *testing.T) {
	rotate(newScenario(t, "rotate"), withRebound())
}

func TestAgentTakesUpARotatedCertificate(t *testing.T) {
	rotate(newScenario(t, "agent-rotate"), withAgent(t, platform.K3s))
}

// rotate rotates the certificate in the middle of a recovery.
func rotate(s *scenario, rebound lab.NodeOption) {
	t := s.t
	node := s.addNode("", rebound)
	storage := s.apply("storage")
	proxy := s.apply("proxy")
	s.awaitReady()
	s.suspendBackOff()

	letGo := s.hold(node.pod(storage))
	require.NoError(t, node.Stop(s.ctx))
	require.NoError(t, node.RotateCertificate(15*time.Second))

	old := node.client()

	require.NoError(t, node.Start(s.ctx))

	// The recovery stays open, and so does the watch.
	node.awaitStatus(func(status specs.RecoveryStatus) bool {
		return status.Counts.Blocked == 1 && status.Counts.Recovered == 1
	})

	require.NoError(t, node.RotateCertificate(time.Hour))
	require.Eventually(t, func() bool {
		_, err := old.CoreV1().Nodes().Get(s.ctx, node.Name(), metav1.GetOptions{})

		return apierrors.IsUnauthorized(err)
	}, time.Minute, 200*time.Millisecond, "the old certificate expires")

	before := len(node.requests())

	// Work for rebound: a pod that the kubelet has rejected.
	rejected := node.pod(proxy)
	rejected.Status.Phase = corev1.PodFailed
	rejected.Status.Reason = "UnexpectedAdmissionError"
	rejected.Status.Message = "Pod was rejected: the lab says so"
	_, err := s.cluster.Client().CoreV1().Pods(s.name).UpdateStatus(s.ctx, &rejected, metav1.UpdateOptions{})
	require.NoError(t, err)

	node.awaitRecord("proxy", func(record specs.DaemonSetRecovery) bool {
		return record.Deleted == 2 && record.Phase == specs.DaemonSetPhaseRecovered
	})

	assert.Contains(t, node.deleted(), rejected.Name)
	assert.True(t, slices.ContainsFunc(node.requests()[before:], func(request lab.AuditRecord) bool {
		return request.Verb == "watch"
	}), "rebound connects again")

	letGo()

	status := node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 2, Deleted: status.Counts.Deleted, Recovered: 2}, status.Counts)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
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

func TestControlPlaneCanBeAwayForAWhile(t *testing.T) {
	t.Parallel()

	cluster := alone(t)

	for _, test := range []struct {
		name string
		run  func(*testing.T, *lab.Lab)
	}{
		{"a node without rebound comes back by itself", outlast},
		{"rebound waits for the controller manager to replace a pod", outlastControllerManager},
		{"rebound waits for the API server", func(t *testing.T, cluster *lab.Lab) {
			t.Helper()
			outlastAPIServer(newScenarioOn(t, cluster, "server"), withRebound())
		}},
		{"the kubelet starts the agent without an API server", func(t *testing.T, cluster *lab.Lab) {
			t.Helper()
			outlastAPIServer(newScenarioOn(t, cluster, "agent-server"), withAgent(t, platform.Kubeadm))
		}},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, cluster) })
	}
}

func outlast(t *testing.T, cluster *lab.Lab) {
	t.Helper()

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

func outlastControllerManager(t *testing.T, cluster *lab.Lab) {
	t.Helper()

	s := newScenarioOn(t, cluster, "manager")
	node := s.addNode("", withRebound())
	daemonSet := s.apply("proxy")
	s.awaitReady()

	left := node.pod(daemonSet)

	require.NoError(t, cluster.StopComponent(component.ControllerManager))
	require.NoError(t, node.Reboot(s.ctx))

	// The watch may show the pod on its way out before it shows it gone.
	status := node.awaitStatus(func(status specs.RecoveryStatus) bool {
		return status.Counts.Deleted == 1 && status.Message == s.name+"/proxy: waiting for the replacement of "+left.Name
	})
	assert.Equal(t, specs.PhaseRecovering, status.Phase)
	assert.Equal(t, specs.DaemonSetPhaseReplacing, node.records()["proxy"].Phase)
	assert.Empty(t, s.pods())

	// Nothing else may happen for longer than the settle time.
	soon, cancel := context.WithTimeout(s.ctx, 3*time.Second)
	defer cancel()

	status, err := node.watchStatus(soon, func(now specs.RecoveryStatus) bool { return now != status })
	require.Error(t, err, "%+v", status)

	require.NoError(t, cluster.StartComponent(s.ctx, component.ControllerManager))

	status = node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
	assert.Equal(t, node.pod(daemonSet).Name, node.records()["proxy"].Replacement)
}

func outlastAPIServer(s *scenario, rebound lab.NodeOption) {
	t, cluster := s.t, s.cluster
	node := s.addNode("", rebound)
	daemonSet := s.apply("proxy")
	s.awaitReady()

	left := node.pod(daemonSet)

	// The pod is still there, and Failed, when the API server is back.
	require.NoError(t, cluster.StopComponent(component.ControllerManager))
	require.NoError(t, cluster.StopComponent(component.Scheduler))
	require.NoError(t, node.Stop(s.ctx))
	require.NoError(t, cluster.StopComponent(component.APIServer))
	require.NoError(t, node.Boot(s.ctx))

	node.awaitStatus(func(status specs.RecoveryStatus) bool {
		return status.Phase == specs.PhaseWaiting && strings.Contains(status.Message, "connection refused")
	})

	require.NoError(t, cluster.StartComponent(s.ctx, component.APIServer))

	status := node.awaitStatus(func(status specs.RecoveryStatus) bool { return status.Counts.Deleted == 1 })
	assert.Equal(t, specs.PhaseRecovering, status.Phase)
	assert.Equal(t, []string{left.Name}, node.deleted())

	require.NoError(t, cluster.StartComponent(s.ctx, component.Scheduler))
	require.NoError(t, cluster.StartComponent(s.ctx, component.ControllerManager))

	status = node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
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

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestGracefulRebootLeavesAFailedPod(t *testing.T) {
	s := newScenario(t, "graceful")
	node := s.addNode("")
	daemonSet := s.apply("cni", lab.Critical(), lab.HostNetwork(), lab.InitContainer("install"))
	s.awaitReady()

	before, left := node.BootID(), node.pod(daemonSet)

	t.Logf("from healthy kubelet to Ready pod: %s", s.reboot()[0])
	assert.NotEqual(t, before, node.BootID())

	// It was there for as long as the DaemonSet controller backed off, which may be
	// no time at all: what it was like is in the audit log.
	for _, record := range s.podDeletes() {
		assert.Equal(t, lab.DaemonSetController, record.User)
		assert.Equal(t, corev1.PodFailed, record.Pod.Status.Phase)
		assert.Equal(t, node.Name(), record.Pod.Spec.NodeName)
		assert.Equal(t, "cni", metav1.GetControllerOf(record.Pod).Name)

		if record.Name == left.Name {
			left = *record.Pod
		}
	}

	assert.Contains(t, []string{"NodeShutdown", "Terminated"}, left.Status.Reason, "%+v", left.Status)
	assert.NotNil(t, left.Status.StartTime)
}

func TestRebootRunsThroughTheStagesOfTalos(t *testing.T) {
	s := newScenario(t, "stages")
	node := s.addNode("")

	healthy, err := node.WaitKubeletHealthy(s.ctx)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), healthy, 10*time.Second)

	st, err := node.COSI()
	require.NoError(t, err)

	_, err = lab.AwaitSpec(s.ctx, st, runtime.NewMachineStatus().Metadata(), func(status runtime.MachineStatusSpec) bool {
		return status.Stage == runtime.MachineStageRunning
	})
	require.NoError(t, err)

	_, err = st.WatchFor(s.ctx, k8s.NewKubeletKubeconfig(k8s.NamespaceName, k8s.KubeletKubeconfigID).Metadata(), state.WithEventTypes(state.Created))
	require.NoError(t, err)

	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)
	require.Error(t, st.Destroy(s.ctx, lifecycle.Metadata()), "the API of a machine is read-only")

	events := make(chan state.Event)
	require.NoError(t, st.Watch(s.ctx, lifecycle.Metadata(), events))
	assert.Equal(t, state.Created, (<-events).Type)

	stopped := make(chan error, 1)

	go func() { stopped <- node.Stop(s.ctx) }()

	tearingDown := <-events
	assert.Equal(t, state.Updated, tearingDown.Type, "everyone hears of the teardown")

	require.NoError(t, <-stopped)
	require.NoError(t, node.Start(s.ctx))

	_, err = node.WaitKubeletHealthy(s.ctx)
	require.NoError(t, err)
}

func TestNodeMayDeleteItsOwnPodsOnly(t *testing.T) {
	s := newScenario(t, "identity")
	node, other := s.addNode("-a"), s.addNode("-b")
	s.apply("proxy")
	s.awaitReady()

	client := node.client()

	for resource, err := range map[string]error{
		"a DaemonSet": second(client.AppsV1().DaemonSets(s.name).Get(s.ctx, "proxy", metav1.GetOptions{})),
		"DaemonSets":  second(client.AppsV1().DaemonSets(s.name).List(s.ctx, metav1.ListOptions{})),
		"all pods":    second(client.CoreV1().Pods(metav1.NamespaceAll).List(s.ctx, metav1.ListOptions{})),
		"the pods of another node": second(client.CoreV1().Pods(metav1.NamespaceAll).List(s.ctx, metav1.ListOptions{
			FieldSelector: "spec.nodeName=" + other.Name(),
		})),
		"another node":         second(client.CoreV1().Nodes().Get(s.ctx, other.Name(), metav1.GetOptions{})),
		"PodDisruptionBudgets": second(client.PolicyV1().PodDisruptionBudgets(s.name).List(s.ctx, metav1.ListOptions{})),
	} {
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", resource, err)
	}

	listed, err := client.CoreV1().Pods(metav1.NamespaceAll).List(s.ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name()})
	require.NoError(t, err)
	require.Len(t, listed.Items, 1)

	for _, pod := range s.pods() {
		pods := client.CoreV1().Pods(pod.Namespace)

		if pod.Spec.NodeName != node.Name() {
			err = pods.Delete(s.ctx, pod.Name, metav1.DeleteOptions{})
			assert.True(t, apierrors.IsForbidden(err), "%v", err)

			continue
		}

		err = pods.Delete(s.ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("another")})
		assert.True(t, apierrors.IsConflict(err), "a pod of the same name is not the same pod: %v", err)

		mine := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
		require.NoError(t, pods.Delete(s.ctx, pod.Name, mine))

		err = pods.Delete(s.ctx, pod.Name, mine)
		assert.True(t, apierrors.IsNotFound(err), "a delete may be repeated: %v", err)

		// The authorizer learns of the delete from a watch.
		assert.Eventually(t, func() bool {
			_, err = pods.Get(s.ctx, pod.Name, metav1.GetOptions{})

			return apierrors.IsForbidden(err)
		}, time.Minute, 10*time.Millisecond, "a node cannot ask whether a pod is gone")
	}
}

// second returns the error of a call.
func second[T any](_ T, err error) error { return err }

func TestExpiredCertificateIsOfNoUseUntilRotated(t *testing.T) {
	s := newScenario(t, "rotation")
	node := s.addNode("")

	require.NoError(t, node.RotateCertificate(-time.Second))

	_, err := node.client().CoreV1().Nodes().Get(s.ctx, node.Name(), metav1.GetOptions{})
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)

	require.NoError(t, node.RotateCertificate(time.Hour))

	_, err = node.client().CoreV1().Nodes().Get(s.ctx, node.Name(), metav1.GetOptions{})
	require.NoError(t, err)
}

func TestKubeletRejectsPodsUntilTheDeviceIsUsable(t *testing.T) {
	const (
		device = "example.com/accelerator"
		delay  = 5 * time.Second
	)

	s := newScenario(t, "device")
	s.apply("driver", lab.Requests(device))

	booted := time.Now()

	node := s.addNode("", lab.WithDeviceAfter(device, delay))

	ready, err := node.WaitDaemonSetPodsReady(s.ctx)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, ready.Sub(booted), delay)

	assert.True(t, slices.ContainsFunc(s.podDeletes(), func(record lab.AuditRecord) bool {
		return record.Pod.Status.Reason == "UnexpectedAdmissionError"
	}))
}

func TestKubeletRejectsPodsWithAnUnsafeSysctlForEver(t *testing.T) {
	s := newScenario(t, "sysctl")
	s.addNode("")
	s.apply("tuner", lab.Sysctl("net.core.somaxconn", "1024"))

	require.Eventually(t, func() bool {
		return len(s.podDeletes()) > 1
	}, 30*time.Second, 200*time.Millisecond, "the DaemonSet controller goes on to replace the rejected pod")

	for _, record := range s.podDeletes() {
		assert.Equal(t, "SysctlForbidden", record.Pod.Status.Reason)
	}
}

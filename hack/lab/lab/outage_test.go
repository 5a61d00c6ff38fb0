// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
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
		{"rebound waits for the API server", outlastAPIServer},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, cluster) })
	}
}

func outlast(t *testing.T, cluster *lab.Lab) {
	t.Helper()

	ctx := within(t, 2*time.Minute)
	name, label, selector := own("outage")

	node := addNode(ctx, t, cluster, name, label)
	apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	// Without a DaemonSet controller nobody replaces the pod.
	require.NoError(t, cluster.StopControllerManager())
	require.NoError(t, node.Reboot(ctx))

	_, err = node.WaitKubeletHealthy(ctx)
	require.NoError(t, err)

	pods := podsIn(ctx, t, cluster, name)
	require.Len(t, pods, 1)
	assert.Equal(t, corev1.PodFailed, pods[0].Status.Phase)
	assert.Equal(t, "Terminated", pods[0].Status.Reason)

	require.NoError(t, cluster.StartControllerManager(ctx))

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	// A node can be shut down without an API server.
	require.NoError(t, cluster.StopAPIServer())
	require.NoError(t, node.Stop(ctx))
	require.NoError(t, cluster.StartAPIServer(ctx))
	require.NoError(t, node.Start(ctx))

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)
}

func outlastControllerManager(t *testing.T, cluster *lab.Lab) {
	t.Helper()

	ctx := within(t, 2*time.Minute)
	name, label, selector := own("manager")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	left := onlyPodOf(ctx, t, cluster, daemonSet, node)

	require.NoError(t, cluster.StopControllerManager())
	require.NoError(t, node.Reboot(ctx))

	// The watch may show the pod on its way out before it shows it gone.
	status := awaitStatus(ctx, t, node, func(status specs.RecoveryStatus) bool {
		return status.Counts.Deleted == 1 && status.Message == name+"/proxy: waiting for the replacement of "+left.Name
	})
	assert.Equal(t, specs.PhaseRecovering, status.Phase)
	assert.Equal(t, specs.DaemonSetPhaseReplacing, daemonSetsOf(ctx, t, node)[name+"/proxy"].Phase)
	assert.Empty(t, podsIn(ctx, t, cluster, name))

	// Nothing else may happen for longer than the settle time.
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()

	status, err = watchStatus(soon, node, func(now specs.RecoveryStatus) bool { return now != status })
	require.Error(t, err, "%+v", status)

	require.NoError(t, cluster.StartControllerManager(ctx))

	status = awaitPhase(ctx, t, node, specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
	assert.Equal(t, onlyPodOf(ctx, t, cluster, daemonSet, node).Name, daemonSetsOf(ctx, t, node)[name+"/proxy"].Replacement)
}

func outlastAPIServer(t *testing.T, cluster *lab.Lab) {
	t.Helper()

	ctx := within(t, 2*time.Minute)
	name, label, selector := own("server")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	left := onlyPodOf(ctx, t, cluster, daemonSet, node)

	// The pod is still there, and Failed, when the API server is back.
	require.NoError(t, cluster.StopControllerManager())
	require.NoError(t, cluster.StopScheduler())
	require.NoError(t, node.Stop(ctx))
	require.NoError(t, cluster.StopAPIServer())
	require.NoError(t, node.Boot(ctx))

	awaitStatus(ctx, t, node, func(status specs.RecoveryStatus) bool {
		return status.Phase == specs.PhaseWaiting && strings.Contains(status.Message, "connection refused")
	})

	require.NoError(t, cluster.StartAPIServer(ctx))

	status := awaitStatus(ctx, t, node, func(status specs.RecoveryStatus) bool { return status.Counts.Deleted == 1 })
	assert.Equal(t, specs.PhaseRecovering, status.Phase)
	assert.Equal(t, []string{left.Name}, namesOf(deletesOf(t, cluster, node)))

	require.NoError(t, cluster.StartScheduler(ctx))
	require.NoError(t, cluster.StartControllerManager(ctx))

	status = awaitPhase(ctx, t, node, specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)
}

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
)

func TestControlPlaneCanBeAwayForAWhile(t *testing.T) {
	cluster := lab.New(t)
	ctx := within(t, 2*time.Minute)

	node, err := cluster.AddNode(ctx, "worker-1")
	require.NoError(t, err)

	_, err = cluster.ApplyDaemonSet(ctx, lab.DaemonSet("kube-system", "proxy"))
	require.NoError(t, err)
	require.NoError(t, cluster.WaitReady(ctx))

	// Without a DaemonSet controller nobody replaces the pod.
	require.NoError(t, cluster.StopControllerManager())
	require.NoError(t, node.Reboot(ctx))

	_, err = node.WaitKubeletHealthy(ctx)
	require.NoError(t, err)

	pods := podsIn(ctx, t, cluster, "kube-system")
	require.Len(t, pods, 1)
	assert.Equal(t, corev1.PodFailed, pods[0].Status.Phase)
	assert.Equal(t, "Terminated", pods[0].Status.Reason)

	require.NoError(t, cluster.StartControllerManager(ctx))
	require.NoError(t, cluster.WaitReady(ctx))

	// A node can be shut down without an API server.
	require.NoError(t, cluster.StopAPIServer())
	require.NoError(t, node.Stop(ctx))
	require.NoError(t, cluster.StartAPIServer(ctx))
	require.NoError(t, node.Start(ctx))
	require.NoError(t, cluster.WaitReady(ctx))
}

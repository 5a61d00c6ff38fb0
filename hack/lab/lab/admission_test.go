// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestKubeletRejectsPodsUntilTheDeviceIsUsable(t *testing.T) {
	t.Parallel()

	const (
		device = "example.com/accelerator"
		delay  = 5 * time.Second
	)

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	name, label, selector := own("device")

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "driver", selector, lab.Requests(device)))
	require.NoError(t, err)

	booted := time.Now()

	node := addNode(ctx, t, cluster, name, label, lab.WithDeviceAfter(device, delay))

	ready, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, ready.Sub(booted), delay)

	assert.Contains(t, deletedReasons(t, cluster, name), "UnexpectedAdmissionError")
}

func TestKubeletRejectsPodsWithAnUnsafeSysctlForEver(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, time.Minute)
	name, label, selector := own("sysctl")

	addNode(ctx, t, cluster, name, label)

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "tuner", selector, lab.Sysctl("net.core.somaxconn", "1024")))
	require.NoError(t, err)

	require.Eventually(t, func() bool {
		return len(deletedReasons(t, cluster, name)) > 1
	}, 30*time.Second, 200*time.Millisecond, "the DaemonSet controller goes on to replace the rejected pod")

	for _, reason := range deletedReasons(t, cluster, name) {
		assert.Equal(t, "SysctlForbidden", reason)
	}
}

// deletedReasons returns why the deleted pods of a namespace had failed.
func deletedReasons(t *testing.T, cluster *lab.Lab, namespace string) []string {
	t.Helper()

	records, err := cluster.Audit()
	require.NoError(t, err)

	var reasons []string

	for _, record := range records {
		if record.DeletesPod() && record.Namespace == namespace {
			require.NotNil(t, record.Pod)

			reasons = append(reasons, record.Pod.Status.Reason)
		}
	}

	return reasons
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()

	os.Exit(m.Run())
}

func withTimeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)

	return ctx
}

func TestGracefulRebootLeavesAFailedPod(t *testing.T) {
	ctx := withTimeout(t, 3*time.Minute)
	start := time.Now()
	cluster := lab.New(t)
	t.Logf("control plane ready after %s", time.Since(start))

	start = time.Now()
	node, err := cluster.AddNode(ctx, "worker-1")
	require.NoError(t, err)
	t.Logf("node registered after %s", time.Since(start))

	_, err = cluster.ApplyDaemonSet(ctx, lab.DaemonSet("kube-system", "cni", lab.Critical(), lab.HostNetwork(), lab.InitContainer("install")))
	require.NoError(t, err)
	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)
	t.Logf("pods ready after %s", time.Since(start))

	for range 3 {
		start = time.Now()
		require.NoError(t, node.Stop(ctx))
		t.Logf("node down after %s", time.Since(start))

		pods, err := cluster.Client().CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		for _, pod := range pods.Items {
			t.Logf("%s: %s %s %q start %v conditions %v", pod.Name, pod.Status.Phase, pod.Status.Reason, pod.Status.Message, pod.Status.StartTime, pod.Status.Conditions)
			require.Equal(t, corev1.PodFailed, pod.Status.Phase)
		}

		start = time.Now()
		require.NoError(t, node.Start(ctx))
		t.Logf("node registered after %s", time.Since(start))
		healthy, err := node.WaitKubeletHealthy(ctx)
		require.NoError(t, err)
		ready, err := node.WaitDaemonSetPodsReady(ctx)
		require.NoError(t, err)
		t.Logf("kubelet healthy after %s, pods ready after %s, gap %s", healthy.Sub(start), ready.Sub(start), ready.Sub(healthy))
	}

	records, err := cluster.Audit()
	require.NoError(t, err)
	for _, r := range records {
		if r.DeletesPod() {
			t.Logf("%s %s %s %s/%s %d pod=%v", r.Time.Format(time.TimeOnly), r.User, r.UserAgent, r.Namespace, r.Name, r.Code, r.Pod != nil && r.Pod.Status.Phase == corev1.PodFailed)
		}
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestNodeMayDeleteItsOwnPodsOnly(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("identity")

	nodes := []*lab.Node{
		addNode(ctx, t, cluster, name+"-a", label),
		addNode(ctx, t, cluster, name+"-b", label),
	}

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "proxy", selector))
	require.NoError(t, err)

	for _, node := range nodes {
		_, err = node.WaitDaemonSetPodsReady(ctx)
		require.NoError(t, err)
	}

	client := clientOf(t, nodes[0])
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}

	for _, pod := range podsIn(ctx, t, cluster, name) {
		err = client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, now)

		if pod.Spec.NodeName == nodes[0].Name() {
			require.NoError(t, err)
		} else {
			require.True(t, apierrors.IsForbidden(err), "%v", err)
		}
	}

	_, err = client.AppsV1().DaemonSets(name).Get(ctx, "proxy", metav1.GetOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
}

func TestExpiredCertificateIsOfNoUseUntilRotated(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, time.Minute)

	name, _, _ := own("rotation")
	node := addNode(ctx, t, cluster, name)

	require.NoError(t, node.RotateCertificate(-time.Second))

	_, err := clientOf(t, node).CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)

	require.NoError(t, node.RotateCertificate(time.Hour))

	_, err = clientOf(t, node).CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
}

func clientOf(t *testing.T, node *lab.Node) kubernetes.Interface {
	t.Helper()

	config, err := node.Config()
	require.NoError(t, err)

	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)

	return client
}

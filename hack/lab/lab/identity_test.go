// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

	for resource, err := range map[string]error{
		"a DaemonSet": second(client.AppsV1().DaemonSets(name).Get(ctx, "proxy", metav1.GetOptions{})),
		"DaemonSets":  second(client.AppsV1().DaemonSets(name).List(ctx, metav1.ListOptions{})),
		"all pods":    second(client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})),
		"the pods of another node": second(client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			FieldSelector: "spec.nodeName=" + nodes[1].Name(),
		})),
		"another node":         second(client.CoreV1().Nodes().Get(ctx, nodes[1].Name(), metav1.GetOptions{})),
		"PodDisruptionBudgets": second(client.PolicyV1().PodDisruptionBudgets(name).List(ctx, metav1.ListOptions{})),
	} {
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", resource, err)
	}

	listed, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + nodes[0].Name()})
	require.NoError(t, err)
	require.Len(t, listed.Items, 1)

	for _, pod := range podsIn(ctx, t, cluster, name) {
		pods := client.CoreV1().Pods(pod.Namespace)

		if pod.Spec.NodeName != nodes[0].Name() {
			err = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{})
			assert.True(t, apierrors.IsForbidden(err), "%v", err)

			continue
		}

		err = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("another")})
		assert.True(t, apierrors.IsConflict(err), "a pod of the same name is not the same pod: %v", err)

		mine := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
		require.NoError(t, pods.Delete(ctx, pod.Name, mine))

		err = pods.Delete(ctx, pod.Name, mine)
		assert.True(t, apierrors.IsNotFound(err), "a delete may be repeated: %v", err)

		// The authorizer learns of the delete from a watch.
		assert.Eventually(t, func() bool {
			_, err = pods.Get(ctx, pod.Name, metav1.GetOptions{})

			return apierrors.IsForbidden(err)
		}, time.Minute, 10*time.Millisecond, "a node cannot ask whether a pod is gone")
	}
}

// second returns the error of a call.
func second[T any](_ T, err error) error { return err }

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

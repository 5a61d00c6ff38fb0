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

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestMalformedKubeconfigIsNamedUntilItIsRepaired(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("kubeconfig")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	held := onlyPodOf(ctx, t, cluster, daemonSet, node)
	setFinalizers(ctx, t, cluster, held, holdFinalizer)
	require.NoError(t, node.Reboot(ctx))

	awaitPhase(ctx, t, node, specs.PhaseDegraded)

	good, err := os.ReadFile(node.KubeconfigPath())
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(node.KubeconfigPath(), []byte("{not a kubeconfig"), 0o600))

	awaitStatus(ctx, t, node, func(status specs.RecoveryStatus) bool {
		return status.Phase == specs.PhaseWaiting && strings.Contains(status.Message, node.KubeconfigPath())
	})

	require.NoError(t, os.WriteFile(node.KubeconfigPath(), good, 0o600))

	status := awaitPhase(ctx, t, node, specs.PhaseDegraded)
	assert.Equal(t, 1, status.Counts.Blocked, "what was counted before is not forgotten")

	setFinalizers(ctx, t, cluster, held)

	status = awaitPhase(ctx, t, node, specs.PhaseRecovered)
	assert.Equal(t, 1, status.Counts.Recovered)
}

func TestRotatedCertificateIsTakenUpInTheMiddleOfARecovery(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	name, label, selector := own("rotate")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	storage := apply(ctx, t, cluster, lab.DaemonSet(name, "storage", selector))
	proxy := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	suspendBackOff(ctx, t, cluster, name)

	held := onlyPodOf(ctx, t, cluster, storage, node)
	setFinalizers(ctx, t, cluster, held, holdFinalizer)
	require.NoError(t, node.Stop(ctx))
	require.NoError(t, node.RotateCertificate(15*time.Second))

	old := clientOf(t, node)

	require.NoError(t, node.Start(ctx))

	// The recovery stays open, and so does the watch.
	awaitStatus(ctx, t, node, func(status specs.RecoveryStatus) bool {
		return status.Counts.Blocked == 1 && status.Counts.Recovered == 1
	})

	require.NoError(t, node.RotateCertificate(time.Hour))
	require.Eventually(t, func() bool {
		_, err := old.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})

		return apierrors.IsUnauthorized(err)
	}, time.Minute, 200*time.Millisecond, "the old certificate expires")

	before := len(requestsOf(t, cluster, node))

	// Work for rebound: a pod that the kubelet has rejected.
	rejected := onlyPodOf(ctx, t, cluster, proxy, node)
	rejected.Status.Phase = corev1.PodFailed
	rejected.Status.Reason = "UnexpectedAdmissionError"
	rejected.Status.Message = "Pod was rejected: the lab says so"
	_, err = cluster.Client().CoreV1().Pods(name).UpdateStatus(ctx, &rejected, metav1.UpdateOptions{})
	require.NoError(t, err)

	awaitDaemonSet(ctx, t, node, name+"/proxy", func(record specs.DaemonSetRecovery) bool {
		return record.Deleted == 2 && record.Phase == specs.DaemonSetPhaseRecovered
	})

	assert.Contains(t, namesOf(deletesOf(t, cluster, node)), rejected.Name)
	assert.True(t, slices.ContainsFunc(requestsOf(t, cluster, node)[before:], func(request lab.AuditRecord) bool {
		return request.Verb == "watch"
	}), "rebound connects again")

	setFinalizers(ctx, t, cluster, held)

	status := awaitPhase(ctx, t, node, specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 2, Deleted: status.Counts.Deleted, Recovered: 2}, status.Counts)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

func open(t *testing.T) (*ctest.Kubernetes, *kubebackoff.Client) {
	t.Helper()

	api := ctest.NewKubernetes(t)

	client, err := kubebackoff.Open(api.Kubeconfig(t), "")
	require.NoError(t, err)
	t.Cleanup(client.Close)

	return api, client
}

func set(t *testing.T, api *ctest.Kubernetes, object runtime.Object) {
	t.Helper()
	require.NoError(t, api.SetWorkload(object))
}

func lease(namespace, name, holder string, renewed time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, RenewTime: new(metav1.NewMicroTime(renewed)), LeaseDurationSeconds: new(int32(15)),
		},
	}
}

func TestNodeHasReportedWhenItsLeaseSaysSo(t *testing.T) {
	t.Parallel()

	api, client := open(t)

	none, err := client.Node(t.Context(), "worker-a")
	require.NoError(t, err)
	assert.False(t, none.Exists)

	object := ctest.KubernetesNode("worker-a", "boot")
	object.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(after(0))
	api.Set(object)

	seen := func() kubebackoff.Node {
		t.Helper()

		node, err := client.Node(t.Context(), "worker-a")
		require.NoError(t, err)
		assert.True(t, node.Exists)
		assert.Equal(t, "boot", node.BootID)

		return node
	}

	assert.True(t, seen().ReportedAt.Equal(after(0)), "without a Lease")
	assert.True(t, seen().Posting)

	set(t, api, lease(corev1.NamespaceNodeLease, "worker-a", "worker-a", after(10)))
	assert.True(t, seen().ReportedAt.Equal(after(0)), "a renewal says nothing yet about a change ten seconds ago")

	set(t, api, lease(corev1.NamespaceNodeLease, "worker-a", "worker-a", after(50)))
	assert.True(t, seen().ReportedAt.Equal(after(30)))

	object.Status.Conditions[0].Status = corev1.ConditionUnknown
	api.Set(object)
	assert.False(t, seen().Posting)
}

func daemonSet() *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "proxy", UID: daemonSetUID, Generation: 7},
		Spec:       appsv1.DaemonSetSpec{RevisionHistoryLimit: new(int32(10)), MinReadySeconds: 3},
		Status:     appsv1.DaemonSetStatus{ObservedGeneration: 7},
	}
}

// reset resets a DaemonSet whose limit is 10. Before calls are made ahead of the first, second, ... write.
func reset(ctx context.Context, t *testing.T, before ...func(*ctest.Kubernetes)) (changed, now *appsv1.DaemonSet, err error) {
	t.Helper()

	api, client := open(t)
	set(t, api, daemonSet())

	read, err := client.DaemonSet(context.WithoutCancel(ctx), "kube-system", "proxy")
	require.NoError(t, err)

	var next func()

	next = func() {
		if len(before) == 0 {
			return
		}

		do := before[0]
		before = before[1:]

		api.BeforeWrite(next)
		do(api)
	}

	api.BeforeWrite(next)

	changed, err = client.Reset(ctx, read)

	api.Refuse(0)

	now, readErr := client.DaemonSet(context.WithoutCancel(ctx), "kube-system", "proxy")
	require.NoError(t, readErr)

	return changed, now, err
}

// write writes the DaemonSet as somebody else does.
func write(t *testing.T, change func(*appsv1.DaemonSet)) func(*ctest.Kubernetes) {
	t.Helper()

	return func(api *ctest.Kubernetes) {
		var now appsv1.DaemonSet

		assert.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(api.Workload("daemonsets", "kube-system", "proxy").Object, &now))
		change(&now)
		assert.NoError(t, api.SetWorkload(&now))
	}
}

func nothing(*ctest.Kubernetes) {}

func TestResetRaisesTheGenerationAndRestoresTheValue(t *testing.T) {
	t.Parallel()

	changed, now, err := reset(t.Context(), t)
	require.NoError(t, err)
	assert.Equal(t, int64(9), now.Generation)
	assert.Equal(t, int64(9), changed.Generation)
	assert.Equal(t, daemonSet().Spec, now.Spec)
}

func TestResetWritesOverNothing(t *testing.T) {
	t.Parallel()

	observe := write(t, func(now *appsv1.DaemonSet) { now.Status.ObservedGeneration++ })

	_, now, err := reset(t.Context(), t, observe, observe, observe)
	require.NoError(t, err, "the controller's own writes come in between")
	assert.Equal(t, daemonSet().Spec, now.Spec)

	_, now, err = reset(t.Context(), t, nothing, write(t, func(now *appsv1.DaemonSet) { now.Spec.RevisionHistoryLimit = new(int32(3)) }))
	require.NoError(t, err)
	assert.Equal(t, int32(3), *now.Spec.RevisionHistoryLimit, "what somebody else has set stays")

	_, now, err = reset(t.Context(), t, nothing, write(t, func(now *appsv1.DaemonSet) { now.Spec.MinReadySeconds = 30 }))
	require.NoError(t, err)
	assert.Equal(t, int32(30), now.Spec.MinReadySeconds)
	assert.Equal(t, int32(10), *now.Spec.RevisionHistoryLimit)

	_, now, err = reset(t.Context(), t, write(t, func(now *appsv1.DaemonSet) { now.UID = "another" }))
	require.ErrorContains(t, err, "it was deleted and created again")
	assert.Equal(t, int64(7), now.Generation)
}

func TestResetRestoresWhateverHappens(t *testing.T) {
	t.Parallel()

	cut := func(*ctest.Kubernetes) { panic(http.ErrAbortHandler) }
	ctx, interrupt := context.WithCancel(t.Context())

	for name, before := range map[string][]func(*ctest.Kubernetes){
		"Ctrl-C during the first write":       {func(*ctest.Kubernetes) { interrupt() }},
		"Ctrl-C before the second write":      {nothing, func(*ctest.Kubernetes) { interrupt() }},
		"a connection that breaks in between": {nothing, cut, cut},
	} {
		_, now, err := reset(ctx, t, before...)
		ctx, interrupt = context.WithCancel(t.Context())

		require.NoError(t, err, name)
		assert.Equal(t, int64(9), now.Generation, name)
		assert.Equal(t, daemonSet().Spec, now.Spec, name)
	}

	interrupt()

	_, now, err := reset(ctx, t)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, int64(7), now.Generation, "after Ctrl-C nothing is begun")
}

func TestResetSaysHowToRestoreTheValue(t *testing.T) {
	t.Parallel()

	_, now, err := reset(t.Context(), t, nothing, func(api *ctest.Kubernetes) { api.Refuse(http.StatusForbidden) })
	require.ErrorIs(t, err, kubebackoff.ErrNotRestored)
	require.ErrorContains(t, err, `kubectl -n kube-system patch daemonset proxy --type=merge -p '{"spec":{"revisionHistoryLimit":10}}'`)
	assert.Equal(t, int32(11), *now.Spec.RevisionHistoryLimit)

	_, now, err = reset(t.Context(), t, func(api *ctest.Kubernetes) { api.Refuse(http.StatusForbidden) })
	require.ErrorContains(t, err, "forbidden")
	require.NotErrorIs(t, err, kubebackoff.ErrNotRestored)
	assert.Equal(t, int64(7), now.Generation)
}

// leave leaves a pod behind on worker-a, which has come back.
func leave(t *testing.T, api *ctest.Kubernetes, name, daemonSet string) *corev1.Pod {
	t.Helper()

	api.Set(ctest.KubernetesNode("worker-a", "boot"))
	set(t, api, lease(corev1.NamespaceNodeLease, "worker-a", "worker-a", after(60)))

	object := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: name, UID: "seen", CreationTimestamp: metav1.NewTime(after(0)),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: daemonSet, UID: daemonSetUID, Controller: new(true)}},
		},
		Spec:   corev1.PodSpec{NodeName: "worker-a"},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeShutdown", StartTime: new(metav1.NewTime(after(0)))},
	}
	set(t, api, object)

	return object
}

func TestClearEndsWhenItIsInterrupted(t *testing.T) {
	t.Parallel()

	api, client := open(t)
	leave(t, api, "first", "cni")
	leave(t, api, "second", "proxy")

	pods, err := client.FailedPods(t.Context(), kubebackoff.Scope{})
	require.NoError(t, err)
	require.Len(t, pods, 2)

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()

	api.BeforeWrite(interrupt)

	results, err := client.Clear(ctx, "worker-a", pods, false)
	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, results, 2, "both are accounted for")
	assert.NotNil(t, api.Workload("pods", "kube-system", "second"), "nothing is begun after Ctrl-C")
}

func TestClearDeletesThePodThatWasSeen(t *testing.T) {
	t.Parallel()

	api, client := open(t)
	object := leave(t, api, "left", "proxy")

	scope := kubebackoff.Scope{DaemonSet: "kube-system/proxy", Node: "worker-a"}

	pods, err := client.FailedPods(t.Context(), scope)
	require.NoError(t, err)
	require.Len(t, pods, 1)

	outcome := func(dryRun bool) kubebackoff.Outcome {
		t.Helper()

		results, err := client.Clear(t.Context(), "worker-a", pods, dryRun)
		require.NoError(t, err)
		require.Len(t, results, 1)

		return results[0].Outcome
	}

	assert.Equal(t, kubebackoff.Deleted, outcome(true))
	assert.NotNil(t, api.Workload("pods", "kube-system", "left"), "a dry run deletes nothing")

	// Its replacement has the same name.
	object.UID = "another"
	set(t, api, object)
	assert.Equal(t, kubebackoff.Gone, outcome(false))
	assert.NotNil(t, api.Workload("pods", "kube-system", "left"))

	object.UID = "seen"
	set(t, api, object)
	assert.Equal(t, kubebackoff.Deleted, outcome(false))
	assert.Nil(t, api.Workload("pods", "kube-system", "left"))

	for _, scope := range []kubebackoff.Scope{{Node: "worker-b"}, {DaemonSet: "kube-system/other"}, {DaemonSet: "other/proxy"}} {
		set(t, api, object)

		pods, err = client.FailedPods(t.Context(), scope)
		require.NoError(t, err)
		assert.Empty(t, pods)
	}
}

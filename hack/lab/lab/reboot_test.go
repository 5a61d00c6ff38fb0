// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestGracefulRebootLeavesAFailedPod(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	name, label, selector := own("graceful")

	node := addNode(ctx, t, cluster, name, label)

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "cni", selector, lab.Critical(), lab.HostNetwork(), lab.InitContainer("install")))
	require.NoError(t, err)

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	before := node.BootID()

	require.NoError(t, node.Stop(ctx))

	pods := podsIn(ctx, t, cluster, name)
	require.Len(t, pods, 1)

	status, err := yaml.Marshal(pods[0].Status)
	require.NoError(t, err)
	t.Logf("%s:\n%s", pods[0].Name, status)

	assert.Equal(t, corev1.PodFailed, pods[0].Status.Phase)
	assert.Contains(t, []string{"NodeShutdown", "Terminated"}, pods[0].Status.Reason)
	assert.NotNil(t, pods[0].Status.StartTime)

	require.NoError(t, node.Start(ctx))
	assert.NotEqual(t, before, node.BootID())

	healthy, err := node.WaitKubeletHealthy(ctx)
	require.NoError(t, err)

	ready, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	t.Logf("from healthy kubelet to Ready pod: %s", ready.Sub(healthy))

	records, err := cluster.Audit()
	require.NoError(t, err)

	for _, record := range records {
		if !record.DeletesPod() || record.Namespace != name {
			continue
		}

		require.NotNil(t, record.Pod, "the audit log has what was deleted")
		assert.Equal(t, "system:serviceaccount:kube-system:daemon-set-controller", record.User)
		assert.Equal(t, corev1.PodFailed, record.Pod.Status.Phase)
		assert.Equal(t, name, record.Pod.Spec.NodeName)
		assert.Equal(t, "cni", metav1.GetControllerOf(record.Pod).Name)
	}
}

func TestHardRebootChangesTheBootIDAndLeavesThePod(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("hard")

	node := addNode(ctx, t, cluster, name, label)

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "proxy", selector))
	require.NoError(t, err)

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	before, pods := node.BootID(), podsIn(ctx, t, cluster, name)

	require.NoError(t, node.HardReboot(ctx))
	assert.NotEqual(t, before, node.BootID())

	file, err := os.ReadFile(node.Root() + "/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	assert.Equal(t, node.BootID(), strings.TrimSpace(string(file)))

	object, err := cluster.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, node.BootID(), object.Status.NodeInfo.BootID)

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	after := podsIn(ctx, t, cluster, name)
	require.Len(t, after, 1)
	assert.Equal(t, pods[0].UID, after[0].UID, "the kubelet starts the same pod again")
}

func TestRebootRunsThroughTheStagesOfTalos(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)

	name, _, _ := own("stages")
	node := addNode(ctx, t, cluster, name)

	healthy, err := node.WaitKubeletHealthy(ctx)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), healthy, 10*time.Second)

	st, err := node.COSI()
	require.NoError(t, err)

	_, err = st.WatchFor(ctx, runtime.NewMachineStatus().Metadata(), state.WithCondition(stage(runtime.MachineStageRunning)))
	require.NoError(t, err)

	_, err = st.WatchFor(ctx, k8s.NewKubeletKubeconfig(k8s.NamespaceName, k8s.KubeletKubeconfigID).Metadata(), state.WithEventTypes(state.Created))
	require.NoError(t, err)

	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)
	require.Error(t, st.Destroy(ctx, lifecycle.Metadata()), "the API of a machine is read-only")

	events := make(chan state.Event)
	require.NoError(t, st.Watch(ctx, lifecycle.Metadata(), events))
	assert.Equal(t, state.Created, (<-events).Type)

	stopped := make(chan error, 1)

	go func() { stopped <- node.Stop(ctx) }()

	tearingDown := <-events
	assert.Equal(t, state.Updated, tearingDown.Type, "everyone hears of the teardown")

	require.NoError(t, <-stopped)
	require.NoError(t, node.Start(ctx))

	_, err = node.WaitKubeletHealthy(ctx)
	require.NoError(t, err)
}

func podsIn(ctx context.Context, t *testing.T, cluster *lab.Lab, namespace string) []corev1.Pod {
	t.Helper()

	pods, err := cluster.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)

	return pods.Items
}

func stage(wanted runtime.MachineStage) state.ResourceConditionFunc {
	return func(res resource.Resource) (bool, error) {
		status, ok := res.(*runtime.MachineStatus)

		return ok && status.TypedSpec().Stage == wanted, nil
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// TestContainersOutliveTheKubelet kills a kubelet: its service is gone until the
// machine has started it again, and every container is the one that it was. That of
// the agent is a process, with whose end it would be another one.
func TestContainersOutliveTheKubelet(t *testing.T) {
	s := newScenario(t, "crash")
	node := s.addNode("", withAgent(t, platform.Kubeadm))
	s.apply("cni", lab.InitContainer("install"))
	s.awaitReady()

	_, err := node.WaitKubeletHealthy(s.ctx)
	require.NoError(t, err)

	pid, err := node.KubeletPID()
	require.NoError(t, err)

	var containers map[string]string

	require.Eventually(t, func() bool {
		containers = node.containers()

		return len(containers) == 3
	}, time.Minute, 100*time.Millisecond, "one of the agent, one of cni, and its init container")

	events := node.watchKubelet()

	require.NoError(t, node.KillKubelet())

	awaitEvent(s.ctx, t, events, func(event state.Event) bool { return event.Type == state.Destroyed })
	created := awaitEvent(s.ctx, t, events, func(event state.Event) bool { return event.Type == state.Created })
	assert.Equal(t, v1alpha1.ServiceSpec{Running: true}, serviceSpec(t, created), "it is not healthy yet, and that is known")

	awaitEvent(s.ctx, t, events, func(event state.Event) bool { return serviceSpec(t, event.Resource).Healthy })

	again, err := node.KubeletPID()
	require.NoError(t, err)
	assert.NotEqual(t, pid, again)

	// A pod that is made now is seen by a kubelet that has seen all of the others.
	s.apply("late")
	s.awaitReady()

	after := node.containers()
	for name, id := range containers {
		assert.Equal(t, id, after[name], "the container %q is another one", name)
	}

	assert.True(t, node.Running(), "a machine does not mind")
}

// TestFrozenKubeletIsNotHealthy lets a kubelet hang, and then the machine lose its
// power.
func TestFrozenKubeletIsNotHealthy(t *testing.T) {
	s := newScenario(t, "frozen")
	node := s.addNode("")

	_, err := node.WaitKubeletHealthy(s.ctx)
	require.NoError(t, err)

	events := node.watchKubelet()

	require.NoError(t, node.FreezeKubelet())

	frozen := awaitEvent(s.ctx, t, events, func(event state.Event) bool { return !serviceSpec(t, event.Resource).Healthy })
	assert.Equal(t, v1alpha1.ServiceSpec{Running: true}, serviceSpec(t, frozen))

	require.NoError(t, node.ThawKubelet())
	awaitEvent(s.ctx, t, events, func(event state.Event) bool { return serviceSpec(t, event.Resource).Healthy })

	require.NoError(t, node.FreezeKubelet())

	pid, err := node.KubeletPID()
	require.NoError(t, err)

	require.NoError(t, node.Kill())

	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))

		return os.IsNotExist(err)
	}, time.Minute, 10*time.Millisecond, "the kubelet goes with its machine, even if it hangs")
}

// containers returns the ids of the containers on the node, by the name of the pod
// and theirs. None of them was started again.
func (n *node) containers() map[string]string {
	list, err := n.cluster.Client().CoreV1().Pods(metav1.NamespaceAll).List(n.ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + n.Name()})
	require.NoError(n.t, err)

	ids := map[string]string{}

	for _, pod := range list.Items {
		for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for _, status := range statuses {
				assert.Zero(n.t, status.RestartCount, "the container %q of pod %q", status.Name, pod.Name)

				ids[pod.Name+"/"+status.Name] = status.ContainerID
			}
		}
	}

	return ids
}

// watchKubelet watches the kubelet's service, from its present state on.
func (n *node) watchKubelet() <-chan state.Event {
	st, err := n.COSI()
	require.NoError(n.t, err)

	events := make(chan state.Event, 100)
	require.NoError(n.t, st.Watch(n.ctx, v1alpha1.NewService("kubelet").Metadata(), events))

	awaitEvent(n.ctx, n.t, events, func(event state.Event) bool { return event.Type == state.Created })

	return events
}

func awaitEvent(ctx context.Context, t *testing.T, events <-chan state.Event, wanted func(state.Event) bool) resource.Resource {
	t.Helper()

	for {
		select {
		case event := <-events:
			require.NotEqual(t, state.Errored, event.Type, "%v", event.Error)

			if wanted(event) {
				return event.Resource
			}
		case <-ctx.Done():
			require.NoError(t, context.Cause(ctx))
		}
	}
}

func serviceSpec(t *testing.T, res resource.Resource) v1alpha1.ServiceSpec {
	t.Helper()

	service, ok := res.(*v1alpha1.Service)
	require.True(t, ok, "%T", res)

	return *service.TypedSpec()
}

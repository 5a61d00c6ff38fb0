// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/coordinator"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func readyNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"pool": "x"}, Annotations: map[string]string{}},
		Status: corev1.NodeStatus{
			NodeInfo:   corev1.NodeSystemInfo{BootID: "boot-1"},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
		},
	}
}

func TestChangesOfANodeThatHasNothingToDo(t *testing.T) {
	t.Parallel()

	annotate := func(name string) func(*corev1.Node) {
		return func(node *corev1.Node) { node.Annotations[name] = `{"bootID":"boot-1"}` }
	}

	for name, test := range map[string]struct {
		change func(*corev1.Node)
		want   bool
	}{
		"it is alive still": {func(node *corev1.Node) {
			node.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(time.Unix(1e9, 0))
			node.ResourceVersion = "2"
		}, false},
		"it has other images":        {func(node *corev1.Node) { node.Status.Images = make([]corev1.ContainerImage, 3) }, false},
		"somebody annotates it":      {annotate("example.com/other"), false},
		"it is not Ready":            {func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown }, true},
		"it has another condition":   {func(node *corev1.Node) { node.Status.Conditions[0].Type = "EtcdIsVoter" }, true},
		"it has rebooted":            {func(node *corev1.Node) { node.Status.NodeInfo.BootID = "boot-2" }, true},
		"somebody cordons it":        {func(node *corev1.Node) { node.Spec.Unschedulable = true }, true},
		"its agent reports":          {annotate(v1alpha1.AgentAnnotation), true},
		"it gets a mark":             {annotate(v1alpha1.CordonAnnotation), true},
		"it gets a grant":            {annotate(v1alpha1.GrantAnnotation), true},
		"the autoscaler wants it":    {func(node *corev1.Node) { node.Spec.Taints = []corev1.Taint{{Key: "ToBeDeletedByClusterAutoscaler"}} }, true},
		"a policy may select it now": {func(node *corev1.Node) { node.Labels = map[string]string{"pool": "y"} }, true},
		"its Talos API has moved":    {func(node *corev1.Node) { node.Status.Addresses[0].Address = "10.0.0.2" }, true},
		"it is being deleted":        {func(node *corev1.Node) { node.DeletionTimestamp = new(metav1.NewTime(time.Unix(1e9, 0))) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			nodes, _ := coordinator.Predicates(sets.New("another"))
			now := readyNode()
			test.change(now)

			assert.Equal(t, test.want, nodes.Update(event.UpdateEvent{ObjectOld: readyNode(), ObjectNew: now}))
		})
	}
}

func TestNodesThatComeAndGoLeadToADecision(t *testing.T) {
	t.Parallel()

	nodes, _ := coordinator.Predicates(sets.Set[string]{})
	assert.True(t, nodes.Create(event.CreateEvent{Object: readyNode()}))
	assert.True(t, nodes.Delete(event.DeleteEvent{Object: readyNode()}))
}

// A node that is alive in its old boot for too long is asked again to reboot, and nothing else tells.
func TestTheHeartbeatOfANodeThatRebootsLeadsToADecision(t *testing.T) {
	t.Parallel()

	nodes, _ := coordinator.Predicates(sets.New("a"))
	now := readyNode()
	now.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(time.Unix(1e9, 0))

	assert.True(t, nodes.Update(event.UpdateEvent{ObjectOld: readyNode(), ObjectNew: now}))
}

func TestChangesOfPodsMatterOnNodesWithSomethingToDo(t *testing.T) {
	t.Parallel()

	on := func(node string) *corev1.Pod { return &corev1.Pod{Spec: corev1.PodSpec{NodeName: node}} }

	_, pods := coordinator.Predicates(sets.New("a"))
	assert.True(t, pods.Update(event.UpdateEvent{ObjectOld: on("a"), ObjectNew: on("a")}))
	assert.True(t, pods.Delete(event.DeleteEvent{Object: on("a")}))
	assert.False(t, pods.Update(event.UpdateEvent{ObjectOld: on("b"), ObjectNew: on("b")}))
	assert.False(t, pods.Create(event.CreateEvent{Object: on("")}))

	_, pods = coordinator.Predicates(nil)
	assert.True(t, pods.Create(event.CreateEvent{Object: on("b")}), "nothing was decided yet")
}

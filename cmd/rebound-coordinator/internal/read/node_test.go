// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// at is a time in whole seconds.
var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestNodeFacts(t *testing.T) {
	t.Parallel()

	annotate := func(name, value string) func(*corev1.Node) {
		return func(node *corev1.Node) { node.Annotations = map[string]string{name: value} }
	}
	label := func(name string) func(*corev1.Node) {
		return func(node *corev1.Node) { node.Labels = map[string]string{name: ""} }
	}
	taint := func(key string) func(*corev1.Node) {
		return func(node *corev1.Node) {
			node.Spec.Taints = []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
		}
	}

	for name, test := range map[string]struct {
		change func(*corev1.Node)
		// want changes what an empty Node gives.
		want func(*reboot.Node)
	}{
		"an empty node says nothing": {func(*corev1.Node) {}, func(*reboot.Node) {}},
		"the boot id is that of the kubelet": {
			func(node *corev1.Node) { node.Status.NodeInfo.BootID = "boot-1" },
			func(node *reboot.Node) { node.BootID = "boot-1" },
		},
		"a Ready node has its heartbeat": {
			func(node *corev1.Node) {
				node.Status.Conditions = []corev1.NodeCondition{{
					Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(at),
				}}
			},
			func(node *reboot.Node) {
				node.Ready, node.HeartbeatAt, node.Conditions = true, at, map[string]string{"Ready": "True"}
			},
		},
		"a node that nobody hears of is not Ready": {
			func(node *corev1.Node) {
				node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
			},
			func(node *reboot.Node) { node.Conditions = map[string]string{"Ready": "Unknown"} },
		},
		"other conditions do not make it Ready": {
			func(node *corev1.Node) {
				node.Status.Conditions = []corev1.NodeCondition{{Type: "EtcdIsVoter", Status: corev1.ConditionTrue}}
			},
			func(node *reboot.Node) { node.Conditions = map[string]string{"EtcdIsVoter": "True"} },
		},
		"a cordon without a mark is foreign": {
			func(node *corev1.Node) { node.Spec.Unschedulable = true },
			func(node *reboot.Node) { node.Unschedulable = true },
		},
		"a cordon with a mark is ours": {
			func(node *corev1.Node) {
				node.Spec.Unschedulable = true
				node.Annotations = map[string]string{v1alpha1.CordonAnnotation: "uid/1", v1alpha1.RestoredAnnotation: "uid/0"}
			},
			func(node *reboot.Node) {
				node.Unschedulable, node.CordonMark, node.RestoredMark = true, "uid/1", "uid/0"
			},
		},
		"a grant has its boot": {
			annotate(v1alpha1.GrantAnnotation, v1alpha1.Grant{UID: "uid", BootID: "boot-1"}.String()),
			func(node *reboot.Node) { node.GrantUID, node.GrantBootID = "uid", "boot-1" },
		},
		"a grant that cannot be parsed is still there": {
			annotate(v1alpha1.GrantAnnotation, "{"), func(node *reboot.Node) { node.GrantUID = "unknown" },
		},
		"a grant for nobody is still there": {
			annotate(v1alpha1.GrantAnnotation, `{"bootID":"boot-1"}`),
			func(node *reboot.Node) { node.GrantUID, node.GrantBootID = "unknown", "boot-1" },
		},
		"a long grant that is cut off is still there": {
			annotate(v1alpha1.GrantAnnotation, `{"uid":"`+strings.Repeat("x", 200_000)),
			func(node *reboot.Node) { node.GrantUID = "unknown" },
		},
		"the agent wants a reboot": {
			annotate(v1alpha1.AgentAnnotation, v1alpha1.AgentReport{
				BootID: "boot-1", Wanted: true, WantedSince: at, Reason: "a new kernel", Problem: "no D-Bus",
			}.String()),
			func(node *reboot.Node) {
				node.Agent = reboot.Agent{BootID: "boot-1", Wanted: true, Since: at, Reason: "a new kernel", Problem: "no D-Bus"}
			},
		},
		"an agent that cannot be understood is none": {annotate(v1alpha1.AgentAnnotation, `{"bootID":1}`), func(*reboot.Node) {}},
		"an agent with a bad time is none":           {annotate(v1alpha1.AgentAnnotation, `{"bootID":"b","wantedSince":"now"}`), func(*reboot.Node) {}},
		"what an agent says is cut": {annotate(v1alpha1.AgentAnnotation, `{"bootID":"b","reason":"`+strings.Repeat("x", 100_000)+`"}`), func(node *reboot.Node) {
			node.Agent = reboot.Agent{BootID: "b", Reason: strings.Repeat("x", 253) + "…"}
		}},
		"a recovery that cannot be understood is none": {annotate(specs.NodeAnnotation, "recovered"), func(*reboot.Node) {}},
		"a recovery of another boot keeps its boot": {
			annotate(specs.NodeAnnotation, `{"phase":"recovered","bootID":"boot-0","message":"all are back"}`),
			func(node *reboot.Node) {
				node.Recovery = reboot.Recovery{BootID: "boot-0", Over: true, Message: "all are back"}
			},
		},
		"a recovery that goes on is not over": {
			annotate(specs.NodeAnnotation, `{"phase":"recovering","bootID":"boot-1"}`),
			func(node *reboot.Node) { node.Recovery = reboot.Recovery{BootID: "boot-1"} },
		},
		"a recovery that is degraded is not over": {
			annotate(specs.NodeAnnotation, `{"phase":"degraded","bootID":"boot-1"}`),
			func(node *reboot.Node) { node.Recovery = reboot.Recovery{BootID: "boot-1"} },
		},
		"a recovery that is switched off is over": {
			annotate(specs.NodeAnnotation, `{"phase":"disabled","bootID":"boot-1"}`),
			func(node *reboot.Node) { node.Recovery = reboot.Recovery{BootID: "boot-1", Over: true} },
		},
		"the autoscaler takes the node away": {
			taint("ToBeDeletedByClusterAutoscaler"),
			func(node *reboot.Node) { node.Leaving = "it has the taint ToBeDeletedByClusterAutoscaler" },
		},
		"Karpenter takes the node away": {
			taint("karpenter.sh/disrupted"), func(node *reboot.Node) { node.Leaving = "it has the taint karpenter.sh/disrupted" },
		},
		"another taint takes nothing away": {taint("node.kubernetes.io/unschedulable"), func(*reboot.Node) {}},
		"a Node that is being deleted leaves": {
			func(node *corev1.Node) { node.DeletionTimestamp = new(metav1.NewTime(at)) },
			func(node *reboot.Node) { node.Leaving = "the Node is being deleted" },
		},
		"Karpenter is not to disrupt the node": {
			annotate("karpenter.sh/do-not-disrupt", "true"), func(node *reboot.Node) { node.Kept = "karpenter.sh/do-not-disrupt" },
		},
		"the cluster autoscaler is to leave the node alone": {
			annotate("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true"),
			func(node *reboot.Node) { node.Kept = "cluster-autoscaler.kubernetes.io/scale-down-disabled" },
		},
		"Karpenter may disrupt the node": {annotate("karpenter.sh/do-not-disrupt", "false"), func(*reboot.Node) {}},
		"a control plane":                {label("node-role.kubernetes.io/control-plane"), func(node *reboot.Node) { node.ControlPlane = true }},
		"a control plane of old":         {label("node-role.kubernetes.io/master"), func(node *reboot.Node) { node.ControlPlane = true }},
		"a member of etcd":               {label("node-role.kubernetes.io/etcd"), func(node *reboot.Node) { node.ControlPlane = true }},
		"a worker":                       {label("node-role.kubernetes.io/worker"), func(*reboot.Node) {}},
		"a node that runs Talos": {
			func(node *corev1.Node) { node.Status.NodeInfo.OSImage = "Talos (v1.13.9)" },
			func(node *reboot.Node) { node.Talos = true },
		},
		"a node that does not run Talos": {
			func(node *corev1.Node) { node.Status.NodeInfo.OSImage = "Debian GNU/Linux 13, not Talos" }, func(*reboot.Node) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var object corev1.Node

			want := reboot.Node{Conditions: map[string]string{}}

			test.change(&object)
			test.want(&want)

			assert.Equal(t, want, read.NodeFacts(&object))
		})
	}
}

func TestTrimNodeKeepsAllThatIsLookedAt(t *testing.T) {
	t.Parallel()

	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "node-a", ResourceVersion: "7", Labels: map[string]string{"node-role.kubernetes.io/control-plane": ""},
			Annotations:   map[string]string{v1alpha1.CordonAnnotation: "mark"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet"}},
		},
		Spec: corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: "karpenter.sh/disrupted"}}},
		Status: corev1.NodeStatus{
			NodeInfo:   corev1.NodeSystemInfo{BootID: "boot-1", OSImage: "Talos (v1.13.9)"},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.6.0.2"}},
			Images:     []corev1.ContainerImage{{Names: []string{"large"}}},
		},
	}
	before := node.DeepCopy()

	trimmed, err := read.TrimNode(node)
	require.NoError(t, err)

	kept, _ := trimmed.(*corev1.Node)
	assert.Equal(t, read.NodeFacts(before), read.NodeFacts(kept))
	assert.Equal(t, before.Labels, kept.Labels)
	assert.Equal(t, before.Annotations, kept.Annotations)
	assert.Equal(t, before.Status.Addresses, kept.Status.Addresses)
	assert.Equal(t, before.ResourceVersion, kept.ResourceVersion)
	assert.Empty(t, kept.ManagedFields)
	assert.Empty(t, kept.Status.Images)

	gone := cache.DeletedFinalStateUnknown{Key: "node-a"}
	trimmed, err = read.TrimNode(gone)
	require.NoError(t, err)
	assert.Equal(t, gone, trimmed)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// lie has the node's identity write on its own Node. A value of nil removes an
// annotation.
func (s *stage) lie(ctx context.Context, node *node, annotations map[string]any, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}, "status": status})
	require.NoError(s.t, err)

	_, err = node.client().CoreV1().Nodes().Patch(ctx, node.Name(), types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")

	return err
}

// TestRebootObjectsAreOutOfReachOfANode tries with the identity of a node, which
// is all that an agent has, whatever would decide about others.
func TestRebootObjectsAreOutOfReachOfANode(t *testing.T) {
	s := newStage(t, "reach", 1, stock, worker)
	node, other := s.nodes[0], s.nodes[1]

	config, err := node.Config()
	require.NoError(t, err)

	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)

	for _, resource := range []string{v1alpha1.ResourceNodeReboots, v1alpha1.ResourceRebootPolicies, v1alpha1.ResourceRebootBudgets} {
		objects := client.Resource(v1alpha1.GroupVersion.WithResource(resource))

		object := &unstructured.Unstructured{}
		object.SetAPIVersion(v1alpha1.GroupVersion.String())
		object.SetKind(map[string]string{
			v1alpha1.ResourceNodeReboots: "NodeReboot", v1alpha1.ResourceRebootPolicies: "RebootPolicy", v1alpha1.ResourceRebootBudgets: "RebootBudget",
		}[resource])
		object.SetName(other.Name())

		for verb, try := range map[string]func() error{
			"get":    func() error { _, err := objects.Get(s.ctx, other.Name(), metav1.GetOptions{}); return err },
			"list":   func() error { _, err := objects.List(s.ctx, metav1.ListOptions{}); return err },
			"create": func() error { _, err := objects.Create(s.ctx, object, metav1.CreateOptions{}); return err },
			"update": func() error { _, err := objects.Update(s.ctx, object, metav1.UpdateOptions{}); return err },
			"status": func() error { _, err := objects.UpdateStatus(s.ctx, object, metav1.UpdateOptions{}); return err },
			"delete": func() error { return objects.Delete(s.ctx, other.Name(), metav1.DeleteOptions{}) },
			"patch": func() error {
				_, err := objects.Patch(s.ctx, other.Name(), types.MergePatchType, []byte(`{"spec":{"force":true}}`), metav1.PatchOptions{})

				return err
			},
		} {
			assert.True(t, apierrors.IsForbidden(try()), "%s %s", verb, resource)
		}
	}

	wish, grant := v1alpha1.AgentReport{BootID: other.BootID(), Wanted: true}.String(), v1alpha1.Grant{UID: "a", BootID: other.BootID()}.String()

	for annotation, value := range map[string]string{
		v1alpha1.AgentAnnotation: wish, v1alpha1.GrantAnnotation: grant, v1alpha1.CordonAnnotation: "a/1", specs.NodeAnnotation: "{}",
	} {
		for _, subresource := range []string{"", "status"} {
			_, err := node.client().CoreV1().Nodes().Patch(s.ctx, other.Name(), types.MergePatchType,
				fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotation, value), metav1.PatchOptions{}, subresource)
			assert.True(t, apierrors.IsForbidden(err), "%s on another node: %v", annotation, err)
		}
	}

	for _, namespace := range []string{"rebound-system", metav1.NamespaceDefault} {
		_, err := node.client().CoordinationV1().Leases(namespace).List(s.ctx, metav1.ListOptions{})
		assert.True(t, apierrors.IsForbidden(err), "the Lease of the coordinator: %v", err)
	}
}

// TestRebootsGoOnBesideANodeThatLies has a node write one lie after the other
// about itself, as fast as the API server takes them. Another node that asks is
// rebooted beside it, and a third one that does not ask is left alone. That the
// liar never has more than the one slot is an invariant.
func TestRebootsGoOnBesideANodeThatLies(t *testing.T) {
	s := newStage(t, "liar", 0, stock, worker, worker)
	liar, honest, idle := s.nodes[0], s.nodes[1], s.nodes[2]

	s.limit = 2
	s.apply(&v1alpha1.RebootBudget{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName}, Spec: v1alpha1.RebootBudgetSpec{MaxUnavailable: 2}})
	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.MaxUnavailable = new(intstr.FromString("100%")) })
	s.addReplica(lab.CoordinatorOptions{})

	boot := liar.BootID()
	wild := strings.Repeat("\x1b[2J\u202e\u009b", 1<<10)
	lies := []map[string]any{
		{v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: boot, Wanted: true, Reason: wild, WantedSince: time.Unix(0, 0)}.String()},
		{v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: boot}.String()},
		{v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: boot, Wanted: true, Problem: wild}.String()},
		{v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: idle.BootID(), Wanted: true}.String()},
		{v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: boot, Wanted: true}.String()},
		{v1alpha1.AgentAnnotation: wild},
		{v1alpha1.GrantAnnotation: v1alpha1.Grant{UID: "of nobody", BootID: boot}.String()},
		{v1alpha1.GrantAnnotation: wild},
		{v1alpha1.RestoredAnnotation: wild},
		{specs.NodeAnnotation: specs.NodeReport{Host: specs.HostMachined, BootID: boot, Phase: specs.PhaseRecovering, Message: wild}.String()},
		{specs.NodeAnnotation: specs.NodeReport{Host: specs.HostMachined, BootID: boot, Phase: specs.PhaseRecovered}.String()},
		{v1alpha1.GrantAnnotation: nil, v1alpha1.RestoredAnnotation: nil, specs.NodeAnnotation: nil},
	}
	boots := []string{boot, idle.BootID(), wild}

	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan int)

	go func() {
		told := 0

		for ; ctx.Err() == nil; told++ {
			err := s.lie(ctx, liar, lies[told%len(lies)], map[string]any{"nodeInfo": map[string]any{"bootID": boots[told/len(lies)%len(boots)]}})
			if ctx.Err() == nil && !apierrors.IsConflict(err) {
				assert.NoError(t, err)
			}
		}

		ended <- told
	}()

	s.awaitReboot(liar, func(*v1alpha1.NodeReboot) bool { return true })
	s.ask(honest)
	s.awaitRebooted(honest)
	cancel()
	assert.Greater(t, <-ended, len(lies))

	assert.Len(t, liar.Boots(), 1, "nobody but itself could reboot it")
	assert.Len(t, idle.Boots(), 1)
	assert.Zero(t, s.witness.Cordoned(idle.Name()))
	assert.Empty(t, s.witness.Phases(idle.Name()))

	object := s.awaitReboot(liar, func(*v1alpha1.NodeReboot) bool { return true })
	text, err := json.Marshal(object)
	require.NoError(t, err)
	assert.Less(t, len(text), 16<<10, "what the coordinator repeats is bounded")
	assertPrintable(t, string(text))

	log, err := s.replicas[0].Log()
	require.NoError(t, err)
	assertPrintable(t, log)

	// What it has left on itself is cleared away as soon as it holds still.
	require.NoError(t, s.lie(s.ctx, liar, map[string]any{
		v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: "b"}.String(), specs.NodeAnnotation: nil,
	}, map[string]any{"nodeInfo": map[string]any{"bootID": "b"}}))
	liar.awaitNode(func(object *corev1.Node) bool {
		return object.Annotations[v1alpha1.CordonAnnotation] == "" && object.Annotations[v1alpha1.GrantAnnotation] == "" && !object.Spec.Unschedulable
	})
}

// assertPrintable asserts that a terminal shows the text and is not steered by it.
func assertPrintable(t *testing.T, text string) {
	t.Helper()

	i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' })
	if i >= 0 {
		assert.Fail(t, "it can steer a terminal", "%q", text[max(0, i-100):min(len(text), i+100)])
	}
}

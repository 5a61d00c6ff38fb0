// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func TestRebootOfANodeThatIsDeletedFreesItsSlot(t *testing.T) {
	s := newStage(t, "deleted", 1, worker, worker)
	deleted, other := s.nodes[0], s.nodes[1]

	s.stick(deleted)
	s.ask(deleted)
	s.awaitStuck(deleted)
	s.ask(other)
	s.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)

	require.NoError(t, s.cluster.RemoveNode(s.ctx, deleted.Node))
	s.awaitRebooted(other)
	s.awaitSlots()
	require.NoError(t, s.cluster.AwaitNoReboot(s.ctx, deleted.Name()), "a wish goes with its Node")
}

// TestRebootIsTakenBackWithTheWish has a coordinator that cannot stream its first
// list, as with an API server of before Kubernetes 1.34.
func TestRebootIsTakenBackWithTheWish(t *testing.T) {
	s := newStage(t, "wish", 0, worker)
	node := s.nodes[0]

	s.addReplica(lab.CoordinatorOptions{Env: []string{"KUBE_FEATURE_WatchListClient=false"}})
	s.stick(node)
	s.ask(node)
	s.awaitStuck(node)

	require.NoError(t, os.Remove(filepath.Join(node.Root(), "run", "reboot-required")))
	require.NoError(t, s.cluster.AwaitNoReboot(s.ctx, node.Name()))
	node.awaitNode(func(object *corev1.Node) bool {
		return !object.Spec.Unschedulable && object.Annotations[v1alpha1.CordonAnnotation] == ""
	})
	s.awaitSlots()
	assert.Len(t, node.Boots(), 1)

	// One that is wanted again is another one, and so is the next.
	s.free()

	for boots := range 2 {
		s.ask(node)
		s.awaitReboot(node, func(r *v1alpha1.NodeReboot) bool {
			return r.Status.Phase == v1alpha1.PhaseDone && len(node.Boots()) == boots+2
		})
	}

	s.awaitRebooted(node)
}

func TestRebootIsGivenUpWithoutItsPolicy(t *testing.T) {
	s := newStage(t, "no-policy", 1, worker)
	node := s.nodes[0]

	s.stick(node)
	s.ask(node)
	s.awaitStuck(node)
	require.NoError(t, s.cluster.Remove(s.ctx, v1alpha1.ResourceRebootPolicies, s.policy.Name))
	s.awaitRestored(node, reboot.ReasonNoPolicy)
	s.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonNoPolicy)
}

func TestRebootIsGivenUpWhenItsWindowCloses(t *testing.T) {
	s := newStage(t, "window", 1, worker)
	node := s.nodes[0]

	s.stick(node)
	s.ask(node)
	s.awaitStuck(node)

	// The window is that of yesterday and tomorrow: it is closed whatever the time.
	day := func(days int) v1alpha1.Weekday {
		return v1alpha1.Weekday(time.Now().UTC().AddDate(0, 0, days).Format("Mon"))
	}

	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) {
		policy.Windows = []v1alpha1.Window{{Days: []v1alpha1.Weekday{day(3), day(4)}, Start: "01:00", End: "02:00", TimeZone: "UTC"}}
	})
	s.awaitRestored(node, reboot.ReasonOutsideWindow)
	waiting := s.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonOutsideWindow)
	assert.Contains(t, waiting.Status.Message, "T01:00:00Z")
}

func TestRebootOfAControlPlaneNeedsTheOthers(t *testing.T) {
	s := newStage(t, "quorum", 1, controlPlane, controlPlane, worker)
	asking, away, plain := s.nodes[0], s.nodes[1], s.nodes[2]

	// There are slots for more than one, so it is not for want of one that it waits.
	s.limit = 3
	s.apply(&v1alpha1.RebootBudget{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName}, Spec: v1alpha1.RebootBudgetSpec{MaxUnavailable: 3}})
	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.MaxUnavailable = new(intstr.FromString("100%")) })

	require.NoError(t, asking.SetCondition(s.ctx, lab.EtcdVoterCondition, corev1.ConditionTrue, "MemberNotLearner"))
	require.NoError(t, away.SetCondition(s.ctx, lab.EtcdVoterCondition, corev1.ConditionFalse, "MemberIsLearner"))

	s.ask(asking, plain)
	waiting := s.awaitPhase(asking, v1alpha1.PhasePending, reboot.ReasonQuorum)
	assert.Contains(t, waiting.Status.Message, "no voting member of etcd")
	s.awaitRebooted(plain)

	require.NoError(t, away.RemoveNetwork())
	away.awaitNode(func(object *corev1.Node) bool { return !lab.IsNodeReady(object) })
	require.NoError(t, away.SetCondition(s.ctx, lab.EtcdVoterCondition, corev1.ConditionTrue, "MemberNotLearner"))
	s.awaitReboot(asking, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Reason == string(reboot.ReasonQuorum) && r.Status.Message == "control plane "+away.Name()+" is not Ready"
	})
	assert.Zero(t, s.witness.Cordoned(asking.Name()))

	require.NoError(t, away.InstallNetwork())
	s.ask(away)
	s.awaitRebooted(asking, away)

	assert.Less(t, overlap(asking, away), time.Duration(0), "never two control planes at a time")
}

// overlap is for how long both machines were off at the same time in their first
// reboots; negative for how much apart they were.
func overlap(a, b *node) time.Duration {
	one, other := a.Boots(), b.Boots()
	begin, end := one[0].Down, one[1].Up

	if other[0].Down.After(begin) {
		begin = other[0].Down
	}

	if other[1].Up.Before(end) {
		end = other[1].Up
	}

	return end.Sub(begin)
}

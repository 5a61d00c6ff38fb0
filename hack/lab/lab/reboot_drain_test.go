// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// seconds is a duration of an object.
func seconds(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }

// stick gives a node a workload of two pods of which only one may leave: the
// other one cannot run elsewhere, and so the drain begins and does not end.
func (s *stage) stick(node *node) {
	s.t.Helper()
	s.run(lab.Deployment(s.name, app, 2, lab.OnNode(node.Name())), 2)
	s.limitDisruptions(1)
}

// awaitStuck waits until a pod could not be evicted.
func (s *stage) awaitStuck(node *node) *v1alpha1.NodeReboot {
	s.t.Helper()

	return s.awaitReboot(node, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Phase == v1alpha1.PhaseCordoned && len(r.Status.BlockedBy) > 0
	})
}

func TestRebootGivesANodeBackAndTheNextOneGoes(t *testing.T) {
	s := newStage(t, "give-up", 1, worker, worker)
	stuck, other := s.nodes[0], s.nodes[1]

	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(3) })
	s.stick(stuck)
	s.ask(stuck)
	s.awaitStuck(stuck)
	s.ask(other)
	s.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)

	s.awaitRestored(stuck, reboot.ReasonBlocked)
	given := time.Now()
	s.awaitReboot(other, func(r *v1alpha1.NodeReboot) bool { return r.Status.Attempt > 0 })
	assert.Less(t, time.Since(given), soon)
	s.awaitRebooted(other)

	waiting := s.awaitReboot(stuck, func(r *v1alpha1.NodeReboot) bool { return r.Status.NextAttemptAt != nil })
	assert.InDelta(t, 60, waiting.Status.NextAttemptAt.Sub(waiting.Status.Results[0].FinishedAt.Time).Seconds(), 1)
	assert.Less(t, s.witness.Cordoned(stuck.Name()), 8*time.Second, "no longer than its own attempt")
}

func TestRebootGoesOnWhenABudgetIsFreedInTheMiddle(t *testing.T) {
	s := newStage(t, "freed", 1, worker)
	stuck := s.nodes[0]

	s.stick(stuck)
	s.ask(stuck)
	blocked := s.awaitStuck(stuck)
	assert.Equal(t, []string{s.name + "/app"}, blocked.Status.BlockedBy[0].Budgets)

	freed := time.Now()
	s.free()
	s.awaitPhase(stuck, v1alpha1.PhaseGranted, "")
	t.Logf("granted %s after the budget was freed", time.Since(freed))
	assert.Less(t, time.Since(freed), soon)
	s.awaitRebooted(stuck)
}

func TestRebootSaysThatTwoBudgetsAreOnOnePod(t *testing.T) {
	s := newStage(t, "budgets", 1, worker)
	held := s.nodes[0]

	s.run(lab.Deployment(s.name, app, 1, lab.OnNode(held.Name()), lab.PodLabels(map[string]string{"tier": "web"})), 1)
	s.limitDisruptions(1)

	second := lab.DisruptionBudget(s.name, "web", 1)
	second.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "web"}}
	s.apply(second)

	s.ask(held)
	waiting := s.awaitReboot(held, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Reason == string(reboot.ReasonBlocked) && len(r.Status.BlockedBy) == 1 && len(r.Status.BlockedBy[0].Budgets) == 2
	})
	assert.ElementsMatch(t, []string{s.name + "/app", s.name + "/web"}, waiting.Status.BlockedBy[0].Budgets)
	assert.Zero(t, s.witness.Cordoned(held.Name()))

	require.NoError(t, s.cluster.Client().PolicyV1().PodDisruptionBudgets(s.name).Delete(s.ctx, "web", metav1.DeleteOptions{}))
	s.awaitRebooted(held)
}

func TestRebootTakesPodsOfEveryKind(t *testing.T) {
	s := newStage(t, "kinds", 1, worker)
	node := s.nodes[0]
	onNode := lab.OnNode(node.Name())

	s.run(lab.BarePod(s.name, "bare", onNode, lab.EmptyDir()), 1)
	s.run(lab.BarePod(s.name, "slow", onNode, lab.Grace(300)), 1)
	s.run(lab.BarePod(s.name, "held", onNode, lab.Finalizer(lab.HoldFinalizer)), 1)
	s.run(lab.StatefulSet(s.name, "single", 1, onNode), 1)
	s.scenario.apply("cni")
	s.awaitReady()

	before := node.pod(s.scenario.apply("cni"))

	s.ask(node)
	waiting := s.awaitReboot(node, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Phase == v1alpha1.PhaseCordoned && len(r.Status.BlockedBy) == 1
	})
	assert.Equal(t, "held", waiting.Status.BlockedBy[0].Name)
	assert.Contains(t, waiting.Status.BlockedBy[0].Message, lab.HoldFinalizer)

	s.letGo("held")
	s.awaitRebooted(node)
	require.Eventually(t, func() bool { return len(s.ready("single")) == 1 }, time.Minute, 100*time.Millisecond, "the StatefulSet is back")

	records := s.audit(func(record lab.AuditRecord) bool { return record.Evicts() && record.Namespace == s.name })
	names := map[string]bool{}

	for _, record := range records {
		names[record.Name] = true
	}

	assert.Equal(t, map[string]bool{"bare": true, "slow": true, "held": true, "single-0": true}, names)
	assert.NotContains(t, names, before.Name, "pods of DaemonSets stay")
}

// letGo lets a pod go that a finalizer holds.
func (s *stage) letGo(name string) {
	s.t.Helper()

	pod, err := s.cluster.Client().CoreV1().Pods(s.name).Get(s.ctx, name, metav1.GetOptions{})
	require.NoError(s.t, err)

	s.hold(corev1.Pod{ObjectMeta: pod.ObjectMeta})()
}

func TestRebootForcesPodsOnlyAfterTheDeadline(t *testing.T) {
	s := newStage(t, "force", 1, worker)
	s.forced = true
	node := s.nodes[0]

	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) {
		policy.Drain.Timeout, policy.Drain.OnBlocked = seconds(2), v1alpha1.Force
		policy.Drain.ForceAfter = new(seconds(8))
	})
	s.run(lab.Deployment(s.name, app, 1, lab.OnNode(node.Name())), 1)
	s.limitDisruptions(0)

	asked := time.Now()
	s.ask(node)
	s.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonBlocked)
	s.awaitRebooted(node)

	deletes := s.audit(func(record lab.AuditRecord) bool {
		return record.DeletesPod() && record.Namespace == s.name && record.User == lab.CoordinatorAccount.User()
	})
	require.Len(t, deletes, 1)
	assert.GreaterOrEqual(t, deletes[0].Time.Sub(asked), 7*time.Second, "not before the deadline; times have whole seconds")
	assert.Len(t, lab.DeletesPastBudget(deletes, lab.CoordinatorAccount.User()), 1, "the witness sees it")
}

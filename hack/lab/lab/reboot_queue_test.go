// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// queued is how many nodes wait at a time.
	queued = 50
	// heartbeat is the kubelet's, without which the node lifecycle controller takes a node for lost.
	heartbeat = 10 * time.Second
)

// shells are Node objects with nothing behind them but an agent that reboots at
// once: a kubelet for each of so many would be too much for one machine.
type shells struct {
	*stage
	// granted are the nodes in the order in which they were let go.
	granted []string
}

// add makes a shell of a node.
func (s *shells) add(name string) {
	_, err := s.cluster.Client().CoreV1().Nodes().Create(s.ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: s.labels()},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)

	s.boot(name)

	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()

		assert.NoError(s.t, s.cluster.Discard(ctx, v1alpha1.ResourceNodeReboots, name))
		assert.NoError(s.t, s.cluster.Client().CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}))
	})
}

// boot gives a node another boot, of which kubelet and agent tell.
func (s *shells) boot(name string) {
	boot := uuid.NewString()

	s.patch(name, fmt.Sprintf(`{"status":{"nodeInfo":{"bootID":%q}}}`, boot), "status")
	s.beat(name)
	s.patch(name, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AgentAnnotation, v1alpha1.AgentReport{BootID: boot}))
}

// beat posts that the node is Ready.
func (s *shells) beat(name string) {
	now := time.Now().UTC().Format(time.RFC3339)

	s.patch(name, fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady",
		"lastHeartbeatTime":%q,"lastTransitionTime":%q}]}}`, now, now), "status")
}

func (s *shells) patch(name, patch string, subresources ...string) {
	_, err := s.cluster.Client().CoreV1().Nodes().Patch(s.ctx, name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{}, subresources...)
	require.NoError(s.t, err)
}

// play reboots whatever is granted, until all of them were.
func (s *shells) play(names []string) {
	nodes := s.cluster.Client().CoreV1().Nodes()
	list, err := nodes.List(s.ctx, metav1.ListOptions{})
	require.NoError(s.t, err)

	changes, err := nodes.Watch(s.ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	require.NoError(s.t, err)

	defer changes.Stop()

	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()

	for len(s.granted) < len(names) {
		select {
		case <-s.ctx.Done():
			require.NoError(s.t, context.Cause(s.ctx), "granted: %q", s.granted)
		case <-ticker.C:
			for _, name := range names {
				s.beat(name)
			}
		case change := <-changes.ResultChan():
			object, ok := change.Object.(*corev1.Node)
			if !ok {
				require.Fail(s.t, "the watch has ended", "%v", change.Object)
			}

			grant, err := v1alpha1.ParseGrant(object.Annotations[v1alpha1.GrantAnnotation])
			if err == nil && grant.BootID == object.Status.NodeInfo.BootID && !slices.Contains(s.granted, object.Name) {
				s.granted = append(s.granted, object.Name)
				s.boot(object.Name)
			}
		}
	}
}

func TestRebootTakesFiftyNodesInTheirOrder(t *testing.T) {
	s := &shells{stage: newStage(t, "queue", 1)}
	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Gates.Settle = seconds(0) })

	budget := &v1alpha1.RebootBudget{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
		Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 1, Paused: true},
	}
	s.apply(budget)

	type entry struct {
		name     string
		priority int32
		at       time.Time
	}

	entries := make([]entry, queued)
	names := make([]string, queued)
	now := time.Now().Truncate(time.Second)

	for i := range entries {
		// Three priorities, and within each of them the youngest first.
		entries[i] = entry{fmt.Sprintf("%s-%02d", s.name, i), int32(i % 3), now.Add(-time.Duration(i) * time.Minute)}
		names[i] = entries[i].name

		s.add(names[i])
		s.apply(&v1alpha1.NodeReboot{
			ObjectMeta: metav1.ObjectMeta{Name: names[i]},
			Spec:       v1alpha1.NodeRebootSpec{Priority: &entries[i].priority, RequestedAt: &metav1.Time{Time: entries[i].at}},
		})
	}

	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.at.Compare(b.at))
	})

	wanted := make([]string, queued)
	for i, entry := range entries {
		wanted[i] = entry.name

		found, err := s.cluster.AwaitReboot(s.ctx, entry.name, func(r *v1alpha1.NodeReboot) bool {
			return r.Status.Place == int32(i+1) && r.Status.Reason == string(reboot.ReasonPaused)
		})
		require.NoError(t, err, "%+v", found)
	}

	budget.Spec.Paused = false
	s.apply(budget)

	began := time.Now()
	s.play(names)
	t.Logf("%d nodes in %s", queued, time.Since(began))
	assert.Equal(t, wanted, s.granted)

	for _, name := range names {
		_, err := s.cluster.AwaitReboot(s.ctx, name, func(r *v1alpha1.NodeReboot) bool { return r.Status.Phase == v1alpha1.PhaseDone })
		require.NoError(t, err)
	}
}

func TestRebootGoesAroundTwoBlockedNodes(t *testing.T) {
	s := newStage(t, "two-blocked", 1, worker, worker, worker)
	first, second, free := s.nodes[0], s.nodes[1], s.nodes[2]

	for i, node := range []*node{first, second} {
		name := fmt.Sprintf("app-%d", i)
		s.run(lab.Deployment(s.name, name, 1, lab.OnNode(node.Name())), 1)
		s.apply(lab.DisruptionBudget(s.name, name, 0))
	}

	s.ask(first, second)
	s.awaitPhase(first, v1alpha1.PhasePending, reboot.ReasonBlocked)
	s.awaitPhase(second, v1alpha1.PhasePending, reboot.ReasonBlocked)

	s.ask(free)
	s.awaitRebooted(free)

	s.apply(lab.DisruptionBudget(s.name, "app-1", 1))
	s.awaitRebooted(second)

	blocked := s.awaitPhase(first, v1alpha1.PhasePending, reboot.ReasonBlocked)
	assert.Equal(t, []string{s.name + "/app-0"}, blocked.Status.BlockedBy[0].Budgets)
	assert.Zero(t, s.witness.Cordoned(first.Name()))
	assert.Len(t, first.Boots(), 1)
}

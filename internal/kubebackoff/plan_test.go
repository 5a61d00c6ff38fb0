// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

func TestPlanResetRaisesTheLimit(t *testing.T) {
	t.Parallel()

	for limit, want := range map[int32]int32{0: 1, 10: 11, math.MaxInt32: math.MaxInt32 - 1} {
		change, err := kubebackoff.PlanReset(&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{RevisionHistoryLimit: &limit}})
		require.NoError(t, err)
		assert.Equal(t, kubebackoff.Change{Limit: limit, Raised: want}, change)
	}

	_, err := kubebackoff.PlanReset(&appsv1.DaemonSet{})
	require.Error(t, err)

	_, err = kubebackoff.PlanReset(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Now())}, Spec: appsv1.DaemonSetSpec{RevisionHistoryLimit: new(int32(10))},
	})
	assert.ErrorContains(t, err, "it is being deleted")
}

func TestPlanRestart(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		node   string
		change func(replicas []kubebackoff.Replica, leader *kubebackoff.Leader)
		// refusal is empty if it may be restarted.
		refusal string
	}{
		"the one that leads": {},
		"a leader by its host name": {change: func(replicas []kubebackoff.Replica, leader *kubebackoff.Leader) {
			replicas[0].Hostname, leader.Identity = "talos-1", "talos-1_uuid"
		}},
		"a leader by the first part of its name": {node: "control-a.example.org", change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[0].Node = "control-a.example.org"
		}},
		"no node of the control plane": {node: "worker-a", refusal: "there is no Node"},
		"a node that is shutting down": {change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[0].ShuttingDown = true
		}, refusal: "is shutting down"},
		"a node that is not Ready": {change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[0].NodeReady = false
		}, refusal: "it may be rebooting"},
		"one that does not run": {change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[0].Running = false
		}, refusal: "it may be starting already"},
		"one that does not lead": {node: "control-b", refusal: `that of node "control-a" does`},
		"no leader election": {change: func(_ []kubebackoff.Replica, leader *kubebackoff.Leader) {
			leader.Identity = ""
		}, refusal: "nobody holds a Lease"},
		"a Lease that has run out": {change: func(_ []kubebackoff.Replica, leader *kubebackoff.Leader) {
			leader.Until = after(100)
		}, refusal: "nobody leads"},
		"a leader whom nobody knows": {change: func(_ []kubebackoff.Replica, leader *kubebackoff.Leader) {
			leader.Identity = "elsewhere_uuid"
		}, refusal: "not known as one node"},
		"a leader that may be two": {change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[1].Hostname = "control-a"
		}, refusal: "not known as one node"},
		"alone": {change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[1].NodeReady, replicas[2].Running = false, false
		}, refusal: "no other node of the control plane"},
		"the others are shutting down": {change: func(replicas []kubebackoff.Replica, _ *kubebackoff.Leader) {
			replicas[1].ShuttingDown, replicas[2].ShuttingDown = true, true
		}, refusal: "no other node of the control plane"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			replicas := []kubebackoff.Replica{
				{Node: "control-a", NodeReady: true, Running: true},
				{Node: "control-b", NodeReady: true, Running: true},
				{Node: "control-c", NodeReady: true, Running: true},
			}
			leader := kubebackoff.Leader{Identity: "control-a_0b9e7b5c", Until: after(110)}

			if tc.change != nil {
				tc.change(replicas, &leader)
			}

			node := "control-a"
			if tc.node != "" {
				node = tc.node
			}

			found, err := kubebackoff.PlanRestart(node, replicas, leader, after(100).Add(time.Millisecond))

			if tc.refusal != "" {
				require.ErrorContains(t, err, tc.refusal)

				return
			}

			require.NoError(t, err)
			assert.Equal(t, node, found.Node)
		})
	}
}

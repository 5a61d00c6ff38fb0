// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const coordinatorUser = "coordinator"

// deleted is a delete of a pod that runs.
func deleted(user, agent string) lab.AuditRecord {
	return lab.AuditRecord{
		Verb: "delete", Resource: "pods", Name: "proxy-1", Code: 200, User: user, UserAgent: agent,
		Pod: &corev1.Pod{Spec: corev1.PodSpec{NodeName: "agent-a"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}},
	}
}

// cordoned is a change of a node, in the order of its revisions.
func cordoned(user string, revision int, unschedulable bool) lab.AuditRecord {
	return lab.AuditRecord{
		Verb: "patch", Resource: "nodes", Name: "agent-a", Code: 200, User: user,
		Node: &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "agent-a", ResourceVersion: strconv.Itoa(revision)},
			Spec:       corev1.NodeSpec{Unschedulable: unschedulable},
		},
	}
}

func TestAuditIsJudgedThoughItComesInParts(t *testing.T) {
	t.Parallel()

	free := cordoned("admin", 1, false)

	for _, tc := range []struct {
		name  string
		parts [][]lab.AuditRecord
		found int
	}{
		{"nothing", [][]lab.AuditRecord{{free}, {}}, 0},
		{"deletes by others", [][]lab.AuditRecord{{deleted("admin", "kubectl")}}, 0},
		{"a delete by rebound on a node", [][]lab.AuditRecord{{free}, {deleted("system:node:agent-a", lab.ReboundUserAgent)}}, 1},
		{"a delete past a budget", [][]lab.AuditRecord{{free}, {deleted(coordinatorUser, "")}}, 1},
		{"its own cordon removed", [][]lab.AuditRecord{{free, cordoned(coordinatorUser, 2, true)}, {cordoned(coordinatorUser, 3, false)}}, 0},
		{"a cordon of others removed", [][]lab.AuditRecord{{free, cordoned("admin", 2, true)}, {cordoned(coordinatorUser, 3, false)}}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			assert.Len(t, soak.AuditFindings(coordinatorUser, tc.parts...), tc.found)
		})
	}
}

func TestWhoIsDisturbedIsNotCalm(t *testing.T) {
	t.Parallel()

	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second) }
	plan := soak.Plan(seed, 10*time.Minute)
	first := func(kind soak.Kind, target string) soak.Event {
		for _, event := range plan {
			if event.Kind == kind && (target == "" || event.Target == target) {
				return event
			}
		}

		t.Fatalf("the plan has no %q", kind)

		return soak.Event{}
	}

	reboot := first(soak.HardReboot, "")
	replica := first(soak.ReplicaKilled, "")
	outage := first(soak.ComponentKilled, "etcd")
	update := first(soak.RollingUpdate, "")

	calm := soak.Calm(at, []soak.Event{reboot}, 1)
	assert.NotContains(t, calm, reboot.Target)
	assert.Len(t, calm, 5, "the others, and the coordinator")

	calm = soak.Calm(at, []soak.Event{replica}, 1)
	assert.NotContains(t, calm, "")
	assert.Len(t, calm, 5, "the nodes")

	assert.Empty(t, soak.Calm(at, []soak.Event{outage}, 1))
	assert.Len(t, soak.Calm(at, []soak.Event{update}, 1), 6)

	calm = soak.Calm(at, []soak.Event{reboot, replica}, 0)
	assert.Equal(t, at(0), calm[reboot.Target])
	assert.Equal(t, at(1), calm[""])

	calm = soak.Calm(at, []soak.Event{reboot, outage}, 1)
	assert.Empty(t, calm, "two events at a time: one is over, and the other is not")
}

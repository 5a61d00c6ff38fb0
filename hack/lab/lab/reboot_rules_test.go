// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

var coordinator = lab.CoordinatorAccount.User()

func TestRebootRulesFindDeletesPastBudgets(t *testing.T) {
	t.Parallel()

	deleted := func(user string, phase corev1.PodPhase) lab.AuditRecord {
		return lab.AuditRecord{User: user, Verb: "delete", Resource: "pods", Code: 200, Pod: &corev1.Pod{Status: corev1.PodStatus{Phase: phase}}}
	}
	eviction := lab.AuditRecord{User: coordinator, Verb: "create", Resource: "pods", Subresource: "eviction", Code: 201}

	assert.Empty(t, lab.DeletesPastBudget([]lab.AuditRecord{
		eviction,
		deleted(coordinator, corev1.PodSucceeded),
		deleted(coordinator, corev1.PodFailed),
		deleted("admin", corev1.PodRunning),
		changed(deleted(coordinator, corev1.PodRunning), func(record *lab.AuditRecord) { record.Code = 409 }),
	}, coordinator))

	for _, record := range []lab.AuditRecord{
		deleted(coordinator, corev1.PodRunning),
		deleted(coordinator, corev1.PodPending),
		changed(deleted(coordinator, ""), func(record *lab.AuditRecord) { record.Pod = nil }),
		changed(deleted(coordinator, ""), func(record *lab.AuditRecord) { record.Verb = "deletecollection" }),
	} {
		assert.Len(t, lab.DeletesPastBudget([]lab.AuditRecord{eviction, record}, coordinator), 1, "%+v", record)
	}
}

func TestRebootRulesJudgeACoordinatorByAllOfThem(t *testing.T) {
	t.Parallel()

	deleted := lab.AuditRecord{User: coordinator, Verb: "delete", Resource: "pods", Code: 200, Pod: &corev1.Pod{}}
	unauthorized := lab.AuditRecord{User: coordinator, Verb: "get", Resource: "secrets", Code: 403, Unauthorized: true}
	denied := lab.AuditRecord{User: coordinator, Verb: "create", Resource: "pods", Subresource: "eviction", Code: 403}
	uncordoned := cordons("admin", true, coordinator, false)

	assert.Len(t, lab.CoordinatorViolations(append(uncordoned, deleted, unauthorized, denied), false), 3)
	assert.Len(t, lab.CoordinatorViolations(append(uncordoned, deleted, unauthorized, denied), true), 2, "pods may be forced")
	assert.Empty(t, lab.CoordinatorViolations([]lab.AuditRecord{denied, changed(unauthorized, func(record *lab.AuditRecord) { record.User = "admin" })}, false))

	// The API server was about to start.
	granted := changed(unauthorized, func(record *lab.AuditRecord) { record.Code, record.Unauthorized = 200, false })
	assert.Empty(t, lab.CoordinatorViolations([]lab.AuditRecord{unauthorized, granted}, false))
	assert.Len(t, lab.CoordinatorViolations([]lab.AuditRecord{unauthorized, changed(granted, func(record *lab.AuditRecord) { record.Verb = "list" })}, false), 1)
}

// cordons are changes of a node's cordon, in the order in which they took effect.
func cordons(steps ...any) []lab.AuditRecord {
	var records []lab.AuditRecord

	for i := 0; i < len(steps); i += 2 {
		records = append(records, lab.AuditRecord{
			User: steps[i].(string), Verb: "patch", Resource: "nodes", Code: 200,
			Node: &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: strconv.Itoa(9 + i)},
				Spec:       corev1.NodeSpec{Unschedulable: steps[i+1].(bool)},
			},
		})
	}

	return records
}

func TestRebootRulesKnowWhoseACordonIs(t *testing.T) {
	t.Parallel()

	for name, records := range map[string][]lab.AuditRecord{
		"its own":                       cordons("kubelet", false, coordinator, true, "kubelet", true, coordinator, false),
		"lifted by the person":          cordons("admin", false, "admin", true, "admin", false),
		"its own, lifted by the person": cordons("admin", false, coordinator, true, "admin", false, coordinator, false),
		"changed while cordoned":        cordons("admin", false, "admin", true, coordinator, true),
	} {
		assert.Empty(t, lab.ForeignCordonsRemoved(records, coordinator), name)
	}

	for name, records := range map[string][]lab.AuditRecord{
		"a person's":                cordons("admin", false, "admin", true, coordinator, false),
		"a person's, after its own": cordons("admin", false, coordinator, true, "admin", false, "admin", true, coordinator, false),
		"one of before":             cordons("admin", true, coordinator, false),
	} {
		assert.Len(t, lab.ForeignCordonsRemoved(records, coordinator), 1, name)
	}
}

func TestRebootRulesGoByWhenAChangeTookEffect(t *testing.T) {
	t.Parallel()

	records := cordons("admin", false, "admin", true, coordinator, false)
	records[0], records[2] = records[2], records[0]

	require.Len(t, lab.ForeignCordonsRemoved(records, coordinator), 1, "the log is in the order of the answers")
}

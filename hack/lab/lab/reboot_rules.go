// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// CoordinatorViolations returns what the coordinator did and should not have done,
// one line for each: removed cordons of others, deleted pods past their budgets
// unless they may be forced, and asked for what it never had a right to.
func CoordinatorViolations(records []AuditRecord, forced bool) []string {
	user := CoordinatorAccount.User()
	found := ForeignCordonsRemoved(records, user)

	if !forced {
		found = append(found, DeletesPastBudget(records, user)...)
	}

	// An API server that starts refuses what it has not yet read the roles for.
	granted := map[right]bool{}

	for _, record := range records {
		if record.User == user && !record.Unauthorized {
			granted[rightTo(record)] = true
		}
	}

	for _, record := range records {
		if record.User == user && record.Unauthorized && !granted[rightTo(record)] {
			found = append(found, fmt.Sprintf("%s %s: the coordinator may not do what it does", record.Verb, record.URI))
		}
	}

	return found
}

// right is what a role may give.
type right struct{ verb, group, resource, subresource string }

// rightTo is what a request takes. Whoever watches has listed before, and a watch
// is on record only when it ends.
func rightTo(record AuditRecord) right {
	verb := record.Verb
	if verb == "watch" {
		verb = "list"
	}

	return right{verb: verb, group: record.Group, resource: record.Resource, subresource: record.Subresource}
}

// DeletesPastBudget returns the deletes of pods by the user that an eviction
// should have been, one line for each: those of pods that had not finished. A
// PodDisruptionBudget has no say in a delete. Who has it in a policy or in a
// request that pods may be forced subtracts them.
func DeletesPastBudget(records []AuditRecord, user string) []string {
	var found []string

	for _, record := range records {
		if record.User != user {
			continue
		}

		switch {
		case record.Verb == "deletecollection" && record.Resource == "pods":
			found = append(found, fmt.Sprintf("%s: a delete of many pods", record.URI))
		case record.DeletesPod() && record.Pod == nil:
			found = append(found, fmt.Sprintf("%s: the audit log does not have the pod", record.URI))
		case record.DeletesPod() && !isFinished(record):
			found = append(found, fmt.Sprintf("%s: the pod was %s", record.URI, record.Pod.Status.Phase))
		}
	}

	return found
}

func isFinished(record AuditRecord) bool {
	return record.Pod.Status.Phase == "Succeeded" || record.Pod.Status.Phase == "Failed"
}

// ForeignCordonsRemoved returns what the user made schedulable again although
// somebody else had made it unschedulable, one line for each. It goes by who
// sent the request that did so, not by what is written on the node. A cordon
// that began before the records is somebody else's.
func ForeignCordonsRemoved(records []AuditRecord, user string) []string {
	var found []string

	for name, changes := range nodeChanges(records) {
		owner := ""

		for i, record := range changes {
			before := i > 0 && changes[i-1].Node.Spec.Unschedulable
			after := record.Node.Spec.Unschedulable

			switch {
			case after && !before && (i > 0 || record.Verb == "create"):
				owner = record.User
			case before && !after && record.User == user && owner != user:
				found = append(found, fmt.Sprintf("node %q was cordoned by %q and uncordoned by %q", name, owner, user))
			}
		}
	}

	slices.Sort(found)

	return found
}

// nodeChanges returns the requests that changed nodes, by node and in the order
// in which they took effect. The audit log is in the order of the answers.
func nodeChanges(records []AuditRecord) map[string][]AuditRecord {
	changes := map[string][]AuditRecord{}

	for _, record := range records {
		if record.Node != nil {
			changes[record.Node.Name] = append(changes[record.Node.Name], record)
		}
	}

	for _, records := range changes {
		slices.SortStableFunc(records, func(a, b AuditRecord) int { return cmp.Compare(revision(a), revision(b)) })
	}

	return changes
}

// revision is etcd's, which the API server's resource versions are.
func revision(record AuditRecord) uint64 {
	number, err := strconv.ParseUint(record.Node.ResourceVersion, 10, 64)
	if err != nil {
		return 0 // a node always has one
	}

	return number
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// history is what the rules are judged by. It comes from what was written and by whom, and never from the reasons that the
// core gives.
//
// How the limits are counted: a limit is a promise at the time at which a slot is taken, by the budget as it was then and by
// the policy as the writer knew it. If somebody lowers one later, nobody is sent back. A slot that somebody has taken away
// from the outside, by deleting the RebootBudget or a finalizer, is not counted until it is taken anew: no coordinator can
// keep a promise that was deleted.
type history struct {
	// slots is what was promised when a node took its slot, lost are nodes whose slot was taken away from the outside.
	slots map[string]slot
	lost  map[string]bool
	// foreign are the nodes whose cordon is a person's.
	foreign map[string]bool
	// mayReboot are the boots, as "<uid>/<boot>", for which the step Granted was on record, grants those that were granted.
	mayReboot, grants map[string]bool
	// rebooted counts the reboots by us of every boot.
	rebooted map[string]int
}

type slot struct {
	uid, policy          string
	attempt              int
	limit, limitOfPolicy int
}

func newHistory() history {
	return history{
		slots: map[string]slot{}, lost: map[string]bool{}, foreign: map[string]bool{}, mayReboot: map[string]bool{},
		grants: map[string]bool{}, rebooted: map[string]int{},
	}
}

// slotsWritten looks at who got a slot.
func (h *history) slotsWritten(s *server, by writer, was, now reboot.Budget) {
	for _, name := range slices.Sorted(maps.Keys(now.Holders)) {
		holder, before := now.Holders[name], was.Holders[name]
		if before.UID == holder.UID && before.Attempt == holder.Attempt || by.facts.Reboots[name].Status.Phase.Active() {
			continue
		}

		policy := policyNamed(by.facts, holder.Policy)
		h.slots[name] = slot{
			uid: holder.UID, attempt: holder.Attempt, policy: holder.Policy,
			limit: was.MaxUnavailable, limitOfPolicy: limitOf(by.facts, policy),
		}
		delete(h.lost, name)

		if len(now.Holders) > was.MaxUnavailable {
			s.violate("%s gave %s a slot, and now %v hold one, where the RebootBudget allows %d",
				by.name, name, slices.Sorted(maps.Keys(now.Holders)), was.MaxUnavailable)
		}

		if down := unavailable(by.facts, now.Holders, name, ""); len(down) >= was.MaxUnavailable {
			s.violate("%s gave %s a slot while %v were down, where the RebootBudget allows %d", by.name, name, down, was.MaxUnavailable)
		}

		if down := unavailable(by.facts, now.Holders, name, policy.Name); len(down) >= h.slots[name].limitOfPolicy {
			s.violate("%s gave %s a slot while %v were down, where the RebootPolicy allows %d",
				by.name, name, down, h.slots[name].limitOfPolicy)
		}
	}
}

// unavailable are the nodes that are down besides the one that asks, as far as the writer knew.
func unavailable(facts *reboot.Facts, holders map[string]reboot.Holder, asking, policy string) []string {
	var down []string

	for _, name := range slices.Sorted(maps.Keys(facts.Nodes)) {
		node := facts.Nodes[name]
		own, ok := reboot.PolicyOf(node, facts.Policies)
		holder, holds := holders[name]

		counts := policy == "" || ok && own.Name == policy || holds && holder.Policy == policy
		if name != asking && counts && (holds || ok && (!node.Ready || node.Unschedulable)) {
			down = append(down, name)
		}
	}

	return down
}

func policyNamed(facts *reboot.Facts, name string) reboot.Policy {
	for _, policy := range facts.Policies {
		if policy.Name == name {
			return policy
		}
	}

	return reboot.Policy{}
}

// limitOf is the limit of a policy in nodes.
func limitOf(facts *reboot.Facts, policy reboot.Policy) int {
	members := 0

	for _, node := range facts.Nodes {
		if own, ok := reboot.PolicyOf(node, facts.Policies); ok && own.Name == policy.Name {
			members++
		}
	}

	if policy.MaxUnavailable.Percent == 0 {
		return policy.MaxUnavailable.Count
	}

	return max(1, policy.MaxUnavailable.Percent*members/100)
}

// statusWritten looks at who may reboot.
func (h *history) statusWritten(s *server, by writer, name string, was, now reboot.Reboot) {
	if now.Status.Phase != reboot.PhaseGranted || was.Status.Phase == reboot.PhaseGranted {
		return
	}

	id := now.UID + "/" + now.Status.BootID
	if h.grants[id] {
		return
	}

	h.mayReboot[id] = true
	h.open(s, by, name, "wrote the step Granted")

	r, policy := by.facts.Reboots[name], policyOfNode(by.facts, name)
	if r.Force || policy.Drain.OnBlocked == reboot.RebootAnyway {
		return
	}

	for _, pod := range by.facts.Pods[name] {
		if !pod.DaemonSet && !pod.Mirror && !pod.Finished && pod.Selected {
			s.violate("%s lets %s reboot with pod %s on it", by.name, name, pod.Name)
		}
	}
}

func policyOfNode(facts *reboot.Facts, name string) reboot.Policy {
	policy, _ := reboot.PolicyOf(facts.Nodes[name], facts.Policies)

	return policy
}

// open looks whether window, gates and quorum were open as far as the writer knew.
func (h *history) open(s *server, by writer, name, did string) {
	r, node, policy := by.facts.Reboots[name], by.facts.Nodes[name], policyOfNode(by.facts, name)

	var problems []string

	if !r.Force {
		if _, open := reboot.OpenUntil(policy.Windows, by.now.Truncate(time.Second)); !open {
			problems = append(problems, "the window is closed")
		}

		for kind, status := range policy.Conditions {
			if node.Conditions[kind] != status {
				problems = append(problems, "a gate is closed")
			}
		}
	}

	if node.ControlPlane {
		problems = append(problems, quorumProblems(by.facts, name)...)
	}

	if r.Suspend || by.facts.Budget == nil || by.facts.Budget.Paused {
		problems = append(problems, "it is suspended or paused")
	}

	if len(problems) > 0 {
		s.violate("%s %s of %s, and %s", by.name, did, name, strings.Join(problems, ", "))
	}
}

// quorumProblems is what speaks against taking a control plane away.
func quorumProblems(facts *reboot.Facts, name string) []string {
	var problems []string

	for _, other := range slices.Sorted(maps.Keys(facts.Nodes)) {
		found := facts.Nodes[other]
		if other == name || !found.ControlPlane {
			continue
		}

		if facts.Reboots[other].Status.Phase.Active() || holdsSlot(facts, other) {
			problems = append(problems, other+" is being rebooted too")
		}

		if !facts.Reboots[name].Force && !found.Ready {
			problems = append(problems, other+" is not Ready")
		}
	}

	return problems
}

// holdsSlot tells whether a node holds a slot whose attempt may still be going on.
func holdsSlot(facts *reboot.Facts, name string) bool {
	if facts.Budget == nil {
		return false
	}

	holder, holds := facts.Budget.Holders[name]
	r := facts.Reboots[name]

	return holds && r.UID == holder.UID && r.Status.Attempt < holder.Attempt
}

func (h *history) granted(s *server, by writer, name, uid, bootID string) {
	id := uid + "/" + bootID
	if !h.mayReboot[id] {
		s.violate("%s granted %s the end of boot %s, which was never on record", by.name, name, bootID)
	}

	if !h.grants[id] {
		h.grants[id] = true
		h.open(s, by, name, "wrote the grant")
	}
}

func (h *history) cordoned(s *server, by writer, name string, was reboot.Node) {
	if was.Unschedulable && was.CordonMark == "" {
		s.violate("%s made the cordon of a person on %s its own", by.name, name)
	}

	if h.foreign[name] {
		s.violate("%s cordoned %s over a foreign cordon", by.name, name)
	}
}

func (h *history) restored(s *server, by writer, name string, was, now reboot.Node) {
	if h.foreign[name] && was.Unschedulable && !now.Unschedulable {
		s.violate("%s removed the cordon of a person from %s", by.name, name)
	}

	switch r := s.reboots[name].value; r.Status.Phase {
	case reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted:
		if was.CordonMark == reboot.Mark(r.UID, r.Status.Attempt) {
			s.violate("%s gave %s back in the middle of attempt %s", by.name, name, was.CordonMark)
		}
	default:
	}
}

func (h *history) podDeleted(s *server, by writer, pod podObject) {
	r, policy := by.facts.Reboots[pod.node], policyOfNode(by.facts, pod.node)

	since := r.RequestedAt
	if since.IsZero() {
		since = r.Created
	}

	forced := policy.Drain.OnBlocked == reboot.Force &&
		(policy.Drain.ForceAfter == nil || !by.now.Before(since.Add(*policy.Drain.ForceAfter)))

	if !pod.Finished && !r.Force && !forced {
		s.violate("%s deleted pod %s past its budget, and nobody has said so", by.name, pod.Name)
	}
}

// machineRebooted is about a reboot that we have caused.
func (h *history) machineRebooted(s *server, name, bootID string) {
	h.rebooted[bootID]++

	granted := false
	for id := range h.grants {
		granted = granted || strings.HasSuffix(id, "/"+bootID)
	}

	if !granted {
		s.violate("%s was rebooted in boot %s, for which there was no grant", name, bootID)
	}

	if h.rebooted[bootID] > 1 {
		s.violate("%s was rebooted twice in boot %s", name, bootID)
	}
}

// ours are the nodes in the middle of a reboot: by the step that is stored, and by our cordon on them.
func (h *history) ours(s *server) []string {
	var names []string

	for _, name := range slices.Sorted(maps.Keys(nodesOf(s))) {
		node := s.nodes[name].value
		if !h.lost[name] && (s.reboots[name].value.Status.Phase.Active() || node.Unschedulable && node.CordonMark != "") {
			names = append(names, name)
		}
	}

	return names
}

func nodesOf(s *server) map[string]bool {
	names := map[string]bool{}

	for name := range s.nodes {
		names[name] = true
	}

	for name := range s.reboots {
		names[name] = true
	}

	return names
}

// check looks at what is stored now.
func (h *history) check(s *server) {
	ours := h.ours(s)
	limit, controlPlanes := 0, 0
	limits, members := map[string]int{}, map[string]int{}

	for _, name := range ours {
		holder, holds := s.budgets[budgetName].value.Holders[name]
		if r, ok := s.reboots[name]; !holds || ok && r.value.Status.Phase.Active() && r.value.UID != holder.UID {
			s.violate("%s is in the middle of a reboot and holds no slot", name)
		}

		slot := h.slots[name]
		limit = max(limit, slot.limit)
		limits[slot.policy] = max(limits[slot.policy], slot.limitOfPolicy)
		members[slot.policy]++

		if s.nodes[name].value.ControlPlane {
			controlPlanes++
		}
	}

	if len(ours) > limit {
		s.violate("%v are in the middle of a reboot, and the RebootBudget has never allowed more than %d", ours, limit)
	}

	for policy, count := range members {
		if count > limits[policy] {
			s.violate("%d nodes of RebootPolicy %s are in the middle of a reboot, which has never allowed more than %d", count, policy, limits[policy])
		}
	}

	if controlPlanes > 1 {
		s.violate("%d control planes are in the middle of a reboot: %v", controlPlanes, ours)
	}
}

// lose is for a slot that is taken away from the outside.
func (h *history) lose(name string) { h.lost[name] = true }

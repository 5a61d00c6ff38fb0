// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// holds tells whether the node holds a slot for a NodeReboot.
func (p *planner) holds(name, uid string) bool {
	holder, ok := p.holders[name]

	return ok && holder.UID == uid
}

// isTaken tells whether a node is being rebooted, or is about to be.
func (p *planner) isTaken(name string) bool {
	_, holds := p.holders[name]

	return holds || p.reserved[name] || p.facts.Reboots[name].Status.Phase.Active()
}

// keepSlots says who goes on holding a slot. A slot is given back once its attempt is on record as ended; nobody can go on
// with that attempt then. A reboot that is under way and has no slot gets one, come what may: the node is down.
func (p *planner) keepSlots() {
	for name, holder := range p.facts.Budget.Holders {
		r, exists := p.facts.Reboots[name]

		if !exists || r.UID != holder.UID || !r.Status.Phase.Active() && holder.Attempt <= r.Status.Attempt {
			continue
		}

		holder.Step = PhasePending
		if r.Status.Phase.Active() {
			holder.Step = r.Status.Phase
		}

		p.holders[name] = holder
	}

	for name, r := range p.facts.Reboots {
		if _, ok := p.holders[name]; !ok && r.Status.Phase.Active() {
			p.holders[name] = Holder{
				UID: r.UID, Attempt: r.Status.Attempt, Policy: r.Status.Policy, Since: p.now, Step: r.Status.Phase,
			}
		}
	}
}

// noSlot returns why there is no slot for a node, or nothing if there is one.
func (p *planner) noSlot(name string, policy *Policy) string {
	if limit, down := p.facts.Budget.MaxUnavailable, p.down(name, ""); len(down) >= limit {
		return fmt.Sprintf("the RebootBudget allows %d at a time: %s", limit, list(down))
	}

	if limit, down := policy.MaxUnavailable.of(p.members[policy.Name]), p.down(name, policy.Name); len(down) >= limit {
		return fmt.Sprintf("RebootPolicy %s allows %d at a time: %s", policy.Name, limit, list(down))
	}

	return ""
}

// down returns which nodes of a policy, or of all of them, are unavailable besides the one that asks: those that hold a
// slot, those that are about to, those that are not Ready, and those that somebody else has cordoned. The words for a holder
// are the same in each of its steps: all who wait repeat them in their status.
func (p *planner) down(asking, policy string) []string {
	var down []string

	add := func(name, ofPolicy, word string) {
		if name != asking && (policy == "" || policy == ofPolicy || policy == p.policies[name]) {
			down = append(down, name+" is "+word)
		}
	}

	for _, name := range slices.Sorted(maps.Keys(p.holders)) {
		add(name, p.holders[name].Policy, "being rebooted")
	}

	for _, name := range slices.Sorted(maps.Keys(p.reserved)) {
		add(name, "", "next")
	}

	for _, name := range p.unavailable {
		if _, holds := p.holders[name]; holds || p.reserved[name] {
			continue
		}

		word := "cordoned"
		if node := p.facts.Nodes[name]; !node.Ready {
			word = "not Ready"
		}

		add(name, "", word)
	}

	return down
}

// list names a few.
func list(names []string) string {
	if len(names) > namedInMessage {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namedInMessage], ", "), len(names)-namedInMessage)
	}

	return strings.Join(names, ", ")
}

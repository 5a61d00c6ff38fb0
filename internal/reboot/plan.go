// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Plan decides. It is a pure function: the same facts at the same time give the same decision.
func Plan(facts Facts, now time.Time) Decision {
	p := newPlanner(facts, now)

	if facts.Budget != nil {
		p.keepSlots()
	}

	var waiting []string

	for _, name := range slices.Sorted(maps.Keys(facts.Reboots)) {
		if facts.Reboots[name].Status.Phase.waits() || p.isAskedAnew(name) {
			waiting = append(waiting, name)
		} else {
			p.decision.Reboots[name] = p.planUnderWay(name)
		}
	}

	p.sortQueue(waiting)

	for i, name := range waiting {
		next := p.planPending(name)
		if next.Status.Phase == PhasePending {
			next.Status.Place = i + 1
		}

		p.decision.Reboots[name] = next
	}

	p.decision.Queue = waiting
	p.decision.Waiting = len(waiting)

	if facts.Budget != nil {
		p.decision.Holders = p.holders
	}

	p.planStrays()
	p.planWishes()
	slices.Sort(p.decision.Checks)
	p.decision.Checks = slices.Compact(p.decision.Checks)

	return p.decision
}

// planner is one decision in the making.
type planner struct {
	facts     Facts
	now       time.Time
	nodeNames []string
	// policies is the policy of every node, members the number of nodes of every policy, unavailable the nodes with a policy
	// that are not Ready or cordoned.
	policies    map[string]string
	members     map[string]int
	unavailable []string
	byName      map[string]*Policy

	holders map[string]Holder
	// reserved are nodes that would take a slot if something was known that is being asked for.
	reserved map[string]bool
	decision Decision
}

func newPlanner(facts Facts, now time.Time) *planner {
	p := &planner{
		facts: facts,
		// The API server keeps whole seconds.
		now:       now.UTC().Truncate(time.Second),
		nodeNames: slices.Sorted(maps.Keys(facts.Nodes)),
		policies:  make(map[string]string, len(facts.Nodes)),
		members:   map[string]int{},
		byName:    map[string]*Policy{},
		holders:   map[string]Holder{},
		reserved:  map[string]bool{},
		decision:  Decision{Reboots: make(map[string]Next, len(facts.Reboots))},
	}

	for i := range facts.Policies {
		p.byName[facts.Policies[i].Name] = &facts.Policies[i]
	}

	for _, name := range p.nodeNames {
		node := facts.Nodes[name]

		policy, ok := PolicyOf(node, facts.Policies)
		if !ok {
			continue
		}

		p.policies[name] = policy.Name
		p.members[policy.Name]++

		if !node.Ready || node.Unschedulable {
			p.unavailable = append(p.unavailable, name)
		}
	}

	return p
}

// wakeAt asks for another decision at t, if no earlier one was asked for.
func (p *planner) wakeAt(t time.Time) {
	if p.decision.LookAgain.IsZero() || t.Before(p.decision.LookAgain) {
		p.decision.LookAgain = t
	}
}

// isAskedAnew tells whether a reboot that is done was asked for again.
func (p *planner) isAskedAnew(name string) bool {
	r := p.facts.Reboots[name]

	return r.Status.Phase == PhaseDone && !r.Deleting && !r.requestedAt().Equal(r.Status.RequestedAt)
}

// sortQueue sorts by priority, then by the fewest failed attempts, then by age.
func (p *planner) sortQueue(names []string) {
	type key struct {
		priority, failed int
		at               time.Time
	}

	keys := make(map[string]key, len(names))

	for _, name := range names {
		r := p.facts.Reboots[name]
		k := key{failed: r.Status.FailedAttempts, at: r.requestedAt()}

		switch policy := p.byName[p.policies[name]]; {
		case r.Priority != nil:
			k.priority = *r.Priority
		case policy != nil:
			k.priority = policy.Priority
		}

		keys[name] = k
	}

	slices.SortFunc(names, func(a, b string) int {
		x, y := keys[a], keys[b]

		return cmp.Or(cmp.Compare(y.priority, x.priority), cmp.Compare(x.failed, y.failed), x.at.Compare(y.at), cmp.Compare(a, b))
	})
}

// planStrays finds nodes that carry a cordon or a grant of ours without a reboot that is under way. There are none, unless
// somebody has removed a finalizer by hand, or a request came late.
func (p *planner) planStrays() {
	for _, name := range p.nodeNames {
		node := p.facts.Nodes[name]

		if (node.CordonMark != "" || node.GrantUID != "") && !p.facts.Reboots[name].Status.Phase.Active() {
			p.decision.Strays = append(p.decision.Strays, name)
		}
	}
}

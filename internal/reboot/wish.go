// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "time"

// isPresent tells whether the agent has reported in the node's present boot. What it reported in another one says nothing.
func (n *Node) isPresent() bool { return n.BootID != "" && n.Agent.BootID == n.BootID }

// isWithdrawn tells whether the reboot was the node's own wish, and no longer is.
func isWithdrawn(r *Reboot, n *Node) bool { return r.FromNode && n.isPresent() && !n.Agent.Wanted }

// planWishes turns what the agents say into NodeReboots.
func (p *planner) planWishes() {
	for _, name := range p.nodeNames {
		node := p.facts.Nodes[name]
		if !node.isPresent() {
			continue
		}

		r, exists := p.facts.Reboots[name]

		switch {
		case node.Agent.Wanted && !exists:
			p.decision.Wishes = append(p.decision.Wishes, Wish{Node: name, Reason: node.Agent.Reason, At: p.now})
		case node.Agent.Wanted && r.Status.Phase == PhaseDone && !r.Deleting && r.Status.BootID != node.BootID &&
			r.requestedAt().Equal(r.Status.RequestedAt):
			p.decision.Wishes = append(p.decision.Wishes, Wish{Node: name, Reason: node.Agent.Reason, At: p.now, UID: r.UID})
		case exists && p.isWantedAgain(name, &r):
			p.decision.Wishes = append(p.decision.Wishes, Wish{Node: name, Reason: node.Agent.Reason, At: p.now, UID: r.UID})
		case exists && isWithdrawn(&r, &node) && p.mayBeDeleted(name, &r):
			p.decision.Withdrawn = append(p.decision.Withdrawn, name)
		}
	}
}

// isWantedAgain tells whether a NodeReboot that is kept for what it says of the past is about a wish that the node has withdrawn,
// and the node has another one: that has a reason and an age of its own. One in the same second counts as the old one, as
// requests are told apart by their times.
func (p *planner) isWantedAgain(name string, r *Reboot) bool {
	node := p.facts.Nodes[name]

	return node.isPresent() && node.Agent.Wanted && r.FromNode && r.Status.Reason == ReasonWithdrawn && r.Status.Phase.waits() &&
		!r.Deleting && !p.holds(name, r.UID) && r.requestedAt().Equal(r.Status.RequestedAt) && r.requestedAt().Before(p.now)
}

// mayBeDeleted tells whether nothing depends on a NodeReboot that is no longer wanted.
func (p *planner) mayBeDeleted(name string, r *Reboot) bool {
	return r.Status.Phase.waits() && !r.Deleting && !p.holds(name, r.UID) && !p.now.Before(p.remembered(r))
}

// remembered is until when a NodeReboot has to be kept for what it says of the past; zero if it says nothing. A node that
// withdraws its wish and has another one at once is neither rid of its back-off nor of its cooldown. The longest one counts:
// which policy selects the node, its own labels may decide.
func (p *planner) remembered(r *Reboot) time.Time {
	until := r.Status.NextAttemptAt

	if last := r.Status.rebootedAt(); !last.IsZero() {
		var cooldown time.Duration
		for _, policy := range p.facts.Policies {
			cooldown = max(cooldown, policy.Cooldown)
		}

		if cooled := last.Add(cooldown); cooled.After(until) {
			until = cooled
		}
	}

	return until
}

// keep says why a NodeReboot that the node no longer wants is still there.
func (p *planner) keep(r *Reboot, found *obstacle) {
	if until := p.remembered(r); p.now.Before(until) {
		p.wakeAt(until)

		found.message += "; kept until " + stamp(until) + " for its back-off or cooldown"
	}
}

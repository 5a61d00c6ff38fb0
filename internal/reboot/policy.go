// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "slices"

// PolicyOf returns the policy that a node belongs to: of those that select it the one of the highest precedence, and among
// equals the one whose name comes first.
func PolicyOf(node Node, policies []Policy) (Policy, bool) {
	var best *Policy

	for i := range policies {
		candidate := &policies[i]

		if slices.Contains(node.Policies, candidate.Name) && (best == nil || candidate.Precedence > best.Precedence ||
			candidate.Precedence == best.Precedence && candidate.Name < best.Name) {
			best = candidate
		}
	}

	if best == nil {
		return Policy{}, false
	}

	return *best, true
}

// isForced tells whether force applies to a reboot now, and if not yet but later, when.
func (p *planner) isForced(r *Reboot, policy *Policy) bool {
	if r.Force {
		return true
	}

	if policy.Drain.OnBlocked != Force {
		return false
	}

	if policy.Drain.ForceAfter == nil {
		return true
	}

	from := r.requestedAt().Add(*policy.Drain.ForceAfter)
	if p.now.Before(from) {
		p.wakeAt(from)

		return false
	}

	return true
}

// usesTalosAPI tells whether a node is rebooted through its Talos API.
func (p *planner) usesTalosAPI(node *Node, policy *Policy) bool {
	return policy.Method == MethodTalosAPI || policy.Method == MethodAuto && node.Talos && p.facts.TalosAPI
}

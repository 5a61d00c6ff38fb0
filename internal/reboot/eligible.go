// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// obstacle is why a reboot cannot begin or go on. The zero value is none.
type obstacle struct {
	reason    Reason
	message   string
	blockedBy []BlockingPod
}

func because(reason Reason, format string, args ...any) obstacle {
	return obstacle{reason: reason, message: fmt.Sprintf(format, args...)}
}

// veto is what speaks against a reboot before it begins as well as until it is granted.
func (p *planner) veto(name string, r *Reboot, policy *Policy) obstacle {
	node, exists := p.facts.Nodes[name]

	switch {
	case !exists:
		return because(ReasonNodeMissing, "there is no node %s", name)
	case r.Deleting:
		return because(ReasonDeleted, "the NodeReboot was deleted")
	case r.Suspend:
		return because(ReasonSuspended, "spec.suspend is set")
	case isWithdrawn(r, &node):
		return because(ReasonWithdrawn, "the node no longer wants a reboot")
	case p.facts.Budget == nil:
		return because(ReasonNoBudget, "there is no RebootBudget named default")
	case p.facts.Budget.Paused:
		return because(ReasonPaused, "spec.paused of the RebootBudget is set")
	case policy == nil:
		return because(ReasonNoPolicy, "no RebootPolicy selects the node")
	case policy.Error != "":
		return because(ReasonPolicyInvalid, "RebootPolicy %s: %s", policy.Name, policy.Error)
	case node.Leaving != "":
		return because(ReasonNodeLeaving, "the node is being taken away: %s", node.Leaving)
	}

	if found := p.noMeans(&node, policy); found.reason != "" {
		return found
	}

	if p.now.Before(r.NotBefore) {
		p.wakeAt(r.NotBefore)

		return because(ReasonNotBefore, "not before %s", stamp(r.NotBefore))
	}

	if !r.Force {
		if found := p.closed(&node, policy); found.reason != "" {
			return found
		}
	}

	if problem := p.quorum(name, r); problem != "" {
		return because(ReasonQuorum, "%s", problem)
	}

	return obstacle{}
}

// noMeans tells why nobody could reboot the node.
func (p *planner) noMeans(node *Node, policy *Policy) obstacle {
	switch {
	case p.usesTalosAPI(node, policy) && !p.facts.TalosAPI:
		return because(ReasonNoTalosAPI, "RebootPolicy %s wants the Talos API, and the coordinator has no talosconfig", policy.Name)
	case p.usesTalosAPI(node, policy) || node.isPresent() && node.Agent.Problem == "":
		return obstacle{}
	case node.isPresent():
		return because(ReasonNoAgent, "the agent cannot reboot the node: %s", node.Agent.Problem)
	case node.Talos:
		return because(ReasonNoAgent, "the node runs Talos: give the coordinator a talosconfig")
	default:
		return because(ReasonNoAgent, "no agent of rebound with --reboots has reported in the node's present boot; rebound install --reboots puts one there")
	}
}

// closed tells which window or gate is closed.
func (p *planner) closed(node *Node, policy *Policy) obstacle {
	if node.Kept != "" {
		return because(ReasonDoNotDisrupt, "the node is marked with %s", node.Kept)
	}

	until, open := OpenUntil(policy.Windows, p.now)
	if !open {
		return p.outsideWindow(policy)
	}

	if !until.IsZero() {
		p.wakeAt(until)
	}

	if kind, found := lacksCondition(node, policy); found {
		return because(ReasonGateClosed, "the node's condition %s is not %s", kind, policy.Conditions[kind])
	}

	return obstacle{}
}

// lacksCondition returns a condition that the node must have and has not.
func lacksCondition(node *Node, policy *Policy) (string, bool) {
	for _, kind := range slices.Sorted(maps.Keys(policy.Conditions)) {
		if node.Conditions[kind] != policy.Conditions[kind] {
			return kind, true
		}
	}

	return "", false
}

func (p *planner) outsideWindow(policy *Policy) obstacle {
	at, ok := NextOpening(policy.Windows, p.now, policy.Drain.Timeout)
	if !ok {
		// A clock change may make one longer, further off than that was looked for.
		p.wakeAt(p.now.Add(windowInterval))

		return because(ReasonOutsideWindow, "no window of RebootPolicy %s is as long as its drain.timeout of %s",
			policy.Name, policy.Drain.Timeout)
	}

	p.wakeAt(at)

	return because(ReasonOutsideWindow, "the next window in which the drain fits opens at %s", stamp(at))
}

// notYet is what speaks against a reboot only before it begins.
func (p *planner) notYet(name string, r *Reboot, policy *Policy) obstacle {
	node := p.facts.Nodes[name]

	if !r.Force {
		if !node.Ready {
			return because(ReasonNodeNotReady, "the node is not Ready, so its pods could not end in good order")
		}

		if found := p.tooEarly(r, policy); found.reason != "" {
			return found
		}
	}

	// Force helps against what has kept pods on the node, and not against a node that has refused the reboot.
	if !r.Force || !r.Status.since(PhaseGranted).IsZero() {
		if found := p.backOff(r); found.reason != "" {
			return found
		}
	}

	if answer := p.facts.Talos[name]; p.usesTalosAPI(&node, policy) && answer.CheckProblem != "" {
		p.checkAgain(name)

		return because(ReasonBlocked, "the Talos API cannot be used: %s", answer.CheckProblem)
	}

	if p.isForced(r, policy) || policy.Drain.OnBlocked == RebootAnyway {
		return obstacle{}
	}

	if blocked := p.preflight(name, policy); len(blocked) > 0 {
		return obstacle{reason: ReasonBlocked, message: describe(blocked), blockedBy: blocked}
	}

	return obstacle{}
}

// tooEarly is what only time will change.
func (p *planner) tooEarly(r *Reboot, policy *Policy) obstacle {
	if last := r.Status.rebootedAt(); !last.IsZero() && p.now.Before(last.Add(policy.Cooldown)) {
		p.wakeAt(last.Add(policy.Cooldown))

		return because(ReasonCooldown, "rebooted at %s; not again before %s", stamp(last), stamp(last.Add(policy.Cooldown)))
	}

	if until, _ := OpenUntil(policy.Windows, p.now); !until.IsZero() && until.Sub(p.now) < policy.Drain.Timeout {
		return p.outsideWindow(policy)
	}

	return obstacle{}
}

// backOff is what an attempt that was given up leads to.
func (p *planner) backOff(r *Reboot) obstacle {
	next := r.Status.NextAttemptAt
	if !p.now.Before(next) {
		return obstacle{}
	}

	p.wakeAt(next)

	why := ""
	if len(r.Status.Results) > 0 {
		why = ": " + r.Status.Results[0].Message
	}

	return obstacle{
		reason:    ReasonBackOff,
		message:   fmt.Sprintf("given up %d time(s), next attempt at %s%s", r.Status.FailedAttempts, stamp(next), why),
		blockedBy: r.Status.BlockedBy,
	}
}

// isChecked tells whether the Talos API of a node has answered lately, if that matters, and asks it if not.
func (p *planner) isChecked(name string, policy *Policy) bool {
	node := p.facts.Nodes[name]

	return !p.usesTalosAPI(&node, policy) && !(node.ControlPlane && node.Talos && p.facts.TalosAPI) || p.check(name)
}

// check tells whether the Talos API of a node has answered lately, and asks it if not.
func (p *planner) check(name string) bool {
	at := p.facts.Talos[name].CheckedAt

	if at.IsZero() || p.now.Sub(at) >= checkInterval {
		p.decision.Checks = append(p.decision.Checks, name)

		return false
	}

	return true
}

// checkAgain asks the Talos API of a node again as soon as what it said is old, since nothing tells when it changes.
func (p *planner) checkAgain(name string) {
	if p.check(name) {
		p.wakeAt(p.facts.Talos[name].CheckedAt.Add(checkInterval))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

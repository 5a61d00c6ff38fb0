// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/internal/backoff"
)

// defaultSettle and defaultTimeout are for nodes that have lost their policy while they were down.
const (
	defaultSettle  = 30 * time.Second
	defaultTimeout = 15 * time.Minute
)

// reboot is one NodeReboot in the making.
type reboot struct {
	*planner
	name   string
	r      Reboot
	node   Node
	exists bool
	// policy is nil if there is none.
	policy *Policy
	next   Next
}

func (p *planner) begin(name string) *reboot {
	b := &reboot{planner: p, name: name, r: p.facts.Reboots[name], policy: p.byName[p.policies[name]]}
	b.node, b.exists = p.facts.Nodes[name]
	b.next.Status = b.r.Status
	b.next.Status.Place = 0
	b.next.Finalizer = b.r.Status.Phase.Active()

	// Of an attempt that is under way the policy is the one that it began with.
	if !b.r.Status.Phase.Active() {
		b.next.Status.Policy = p.policies[name]
	}

	return b
}

// planPending decides about a reboot that waits: it says why, or takes a slot, or begins.
func (p *planner) planPending(name string) Next {
	b := p.begin(name)
	status := &b.next.Status

	if p.isWantedAgain(name, &b.r) {
		return b.next // it is decided about the new request
	}

	if status.Phase != PhasePending {
		// What happened to the request before this one is over.
		*status = Status{
			Phase: PhasePending, Policy: status.Policy, Attempt: status.Attempt, Results: status.Results,
		}
	}

	status.RequestedAt = b.r.requestedAt()

	holder, holds := p.holders[name]
	found := p.veto(name, &b.r, b.policy)

	if found.reason == "" {
		found = p.notYet(name, &b.r, b.policy)
	}

	if found.reason == ReasonWithdrawn {
		p.keep(&b.r, &found)
	}

	// The node itself can write what an attempt leaves on it, again and again. So it has no slot meanwhile, and is put off if it
	// does so once it has one. The result says so: the back-off repeats the last one.
	if found.reason == "" && (b.node.CordonMark != "" || b.node.GrantUID != "") {
		found = because(ReasonNext, "what an earlier attempt has left is being removed")

		if holds {
			status.end(Result{Reason: found.reason, Message: found.message, StartedAt: b.now, FinishedAt: b.now})
			b.putOff()
		}
	}

	status.BlockedBy = limit(found.blockedBy)

	switch {
	case found.reason != "" && holds:
		// The slot goes back with the next decision, when it is on record that this attempt will not be.
		status.Attempt = holder.Attempt
		status.say(found.reason, "%s", found.message)
	case found.reason != "":
		status.say(found.reason, "%s", found.message)
	case !holds:
		b.takeSlot()
	case !b.r.Finalizer:
		b.next.Finalizer = true
		status.say(ReasonNext, "it has a slot")
	default:
		b.next.Finalizer = true
		status.Attempt = holder.Attempt
		status.Policy = holder.Policy
		status.BootID = b.node.BootID
		status.NextAttemptAt = time.Time{}
		status.SettledSince = time.Time{}
		status.Steps = nil
		status.enter(PhaseCordoned, p.now)
		status.say(ReasonDraining, "the node is being cordoned")
	}

	return b.next
}

// takeSlot takes a slot if there is one.
func (b *reboot) takeSlot() {
	status := &b.next.Status

	if problem := b.noSlot(b.name, b.policy); problem != "" {
		status.say(ReasonNoSlot, "%s", problem)

		return
	}

	if !b.isChecked(b.name, b.policy) {
		b.reserved[b.name] = true
		status.say(ReasonChecking, "asking the Talos API")

		return
	}

	b.holders[b.name] = Holder{
		UID: b.r.UID, Attempt: status.Attempt + 1, Policy: b.policy.Name, Since: b.now, Step: PhasePending,
	}
	status.say(ReasonNext, "it takes a slot")
}

// planUnderWay decides about a reboot that does not wait.
func (p *planner) planUnderWay(name string) Next {
	b := p.begin(name)

	switch b.r.Status.Phase {
	case PhaseCordoned, PhaseDrained:
		b.planPreparation()
	case PhaseGranted:
		b.planGranted()
	case PhaseBack:
		b.planBack()
	case PhaseRestoring:
		b.planRestoring()
	case PhaseNone, PhasePending, PhaseDone:
	}

	b.next.Status.BlockedBy = limit(b.next.Status.BlockedBy)

	return b.next
}

// planPreparation decides about a node that is being prepared, which can still be given back.
func (b *reboot) planPreparation() {
	found := b.veto(b.name, &b.r, b.policy)

	switch {
	case b.exists && b.node.BootID != b.r.Status.BootID:
		// Before anything else: its agent, say, has yet to report in this boot.
		b.comeBack(ReasonRebootedAlone, "the node has rebooted by itself")
	case found.reason != "":
		b.giveUp(found.reason, "%s", found.message)
	case b.policy.Name != b.r.Status.Policy:
		b.giveUp(ReasonPolicyChanged, "the node has changed from RebootPolicy %s to %s", b.r.Status.Policy, b.policy.Name)
	case b.node.CordonMark != "" && !b.node.Unschedulable:
		b.giveUp(ReasonCordonLifted, "somebody has uncordoned the node")
	case !b.node.Unschedulable:
		// Also if it was somebody else's cordon that was lifted.
		b.next.Status.Phase = PhaseCordoned

		if b.r.Status.Phase == PhaseCordoned {
			b.next.Cordon = b.r.mark()
		}
	case b.r.Status.Phase == PhaseCordoned:
		b.planCordoned()
	default:
		b.planDrained()
	}
}

func (b *reboot) planCordoned() {
	status := &b.next.Status
	timeout := status.since(PhaseCordoned).Add(b.policy.Drain.Timeout)
	overtime := !b.now.Before(timeout)
	forced := b.isForced(&b.r, b.policy)

	d := b.planDrain(b.name, b.policy, b.r.Force || forced && overtime)
	b.next.Pods = d.actions
	status.BlockedBy = d.blocking

	switch limit := timeout.Add(b.policy.Drain.Timeout); {
	case len(d.left) == 0:
		status.BlockedBy = nil
		status.enter(PhaseDrained, b.now)
		status.say(ReasonDelayed, "the pods have left")
	case !overtime:
		b.wakeAt(timeout)
		status.say(ReasonDraining, "%s", d.progress())
	case b.r.Force || b.policy.Drain.OnBlocked == RebootAnyway:
		status.enter(PhaseDrained, b.now)
		status.say(ReasonPodsLeft, "the time for the drain is over: %s", d.progress())
	case forced && b.now.Before(limit):
		b.wakeAt(limit)
		status.say(ReasonForcing, "%s", d.progress())
	default:
		b.giveUp(ReasonBlocked, "the node was not drained within %s: %s", b.now.Sub(status.since(PhaseCordoned)), d.progress())
	}
}

// progress says how many pods are left, and what holds them.
func (d *drain) progress() string {
	text := fmt.Sprintf("%d pod(s) have yet to leave", len(d.left))

	switch {
	case len(d.blocking) > 0:
		return text + ": " + describe(d.blocking)
	case len(d.left) > namedInMessage:
		return text
	}

	names := make([]string, len(d.left))
	for i := range d.left {
		names[i] = d.left[i].id()
	}

	return text + ": " + strings.Join(names, ", ")
}

func (b *reboot) planDrained() {
	status := &b.next.Status

	// What has come since would be killed without being asked.
	left := slices.ContainsFunc(b.facts.Pods[b.name], func(pod Pod) bool { return b.leaves(&pod, b.policy) })
	if left && !b.r.Force && b.policy.Drain.OnBlocked != RebootAnyway {
		status.Phase = PhaseCordoned

		return
	}

	if at := status.since(PhaseDrained).Add(b.policy.Delay); b.now.Before(at) {
		b.wakeAt(at)
		status.say(ReasonDelayed, "the reboot follows at %s", stamp(at))

		return
	}

	if !b.isChecked(b.name, b.policy) {
		return
	}

	status.RequestedAt = b.r.requestedAt()
	status.enter(PhaseGranted, b.now)
	status.say(ReasonRebooting, "the node may reboot")
}

// planGranted waits for a node that may reboot. Once the grant is on the node there is no way back, unless it is sure that
// nothing was done. Before that, whatever has come up since the step was written still counts: whoever wrote it may have
// died, and it may be long ago.
func (b *reboot) planGranted() {
	status := &b.next.Status

	var found obstacle
	if b.exists && b.missingGrant() != "" {
		found = b.veto(b.name, &b.r, b.policy)
	}

	switch {
	case !b.exists:
		b.giveUp(ReasonNodeMissing, "there is no node %s any more", b.name)
	case b.node.BootID != status.BootID:
		b.comeBack(ReasonNotReady, "the node has rebooted")
	case found.reason != "":
		b.giveUp(found.reason, "%s", found.message)
	case b.usesTalosAPI(&b.node, b.settings()):
		b.planTalosReboot()
	default:
		b.next.Grant = b.missingGrant()

		problem := "the node has not rebooted yet"
		if b.node.isPresent() && b.node.Agent.Problem != "" {
			problem = "the agent cannot reboot the node: " + b.node.Agent.Problem
		}

		b.waitForReturn(ReasonRebooting, problem)
	}
}

// missingGrant is the boot for which the grant is yet to be written.
func (b *reboot) missingGrant() string {
	if b.node.GrantUID == b.r.UID && b.node.GrantBootID == b.r.Status.BootID {
		return ""
	}

	return b.r.Status.BootID
}

// planTalosReboot asks the Talos API to reboot the node. The grant is written first, so that it is known that it may have
// been asked: after that, it is asked again only if the kubelet has been alive in the old boot for long enough. That nobody has
// heard of the last request is no reason to hurry if the node may have heard of one before: it may be down for that, and the
// next request would be heard in the new boot.
func (b *reboot) planTalosReboot() {
	answer := b.facts.Talos[b.name]
	ours := answer.Attempt == b.r.mark()
	asked := b.r.Status.since(PhaseGranted)

	if ours {
		asked = answer.AskedAt
	}

	switch {
	case !b.facts.TalosAPI:
		b.waitForReturn(ReasonNoTalosAPI, "the node has not rebooted yet, and the coordinator has no talosconfig any more")

		return
	case ours && answer.InFlight:
	case ours && answer.Refused:
		b.giveUp(ReasonBlocked, "the Talos API has refused the reboot: %s", answer.Message)

		return
	case ours && answer.Unsent && !answer.AskedBefore:
		again := asked.Add(unsentInterval)
		b.next.CallTalos = !b.now.Before(again)
		b.wakeAt(again)
	case b.missingGrant() != "":
		b.next.Grant, b.next.CallTalos = b.r.Status.BootID, true
	case b.node.Ready && b.node.HeartbeatAt.After(asked.Add(aliveAfter)):
		b.next.CallTalos = true
	}

	problem := "the node has not rebooted yet"
	if ours && answer.Message != "" {
		problem = "the Talos API has not confirmed the reboot: " + answer.Message
	}

	b.waitForReturn(ReasonRebooting, problem)
}

// settings are those of the policy, or the defaults if the node has lost it.
func (b *reboot) settings() *Policy {
	if b.policy == nil || b.policy.Error != "" {
		return &Policy{Settle: defaultSettle, Timeout: defaultTimeout}
	}

	return b.policy
}

// waitForReturn says what a node is waited for that is down. It keeps its slot even if it does not come back.
func (b *reboot) waitForReturn(reason Reason, problem string) {
	status := &b.next.Status
	granted := status.since(PhaseGranted)

	if granted.IsZero() {
		granted = status.since(PhaseBack)
	}

	late := granted.Add(b.settings().Timeout)
	if b.now.Before(late) {
		b.wakeAt(late)
		status.say(reason, "%s", problem)

		return
	}

	status.say(ReasonNotBack, "the node is not back after %s: %s", b.settings().Timeout, problem)
}

// comeBack begins the wait for a node in its new boot.
func (b *reboot) comeBack(reason Reason, message string) {
	b.next.Status.BlockedBy = nil
	b.next.Status.RequestedAt = b.r.requestedAt()
	b.next.Status.enter(PhaseBack, b.now)
	b.next.Status.say(reason, "%s", message)
}

// planBack waits until the node has been whole for a while, gives it back, and ends.
func (b *reboot) planBack() {
	status := &b.next.Status

	if !b.exists {
		b.giveUp(ReasonNodeMissing, "there is no node %s any more", b.name)

		return
	}

	if reason, problem := b.notWhole(); problem != "" {
		status.SettledSince = time.Time{}
		b.waitForReturn(reason, problem)

		return
	}

	if status.SettledSince.IsZero() {
		status.SettledSince = b.now
	}

	if at := status.SettledSince.Add(b.settings().Settle); b.now.Before(at) {
		b.wakeAt(at)
		status.say(ReasonSettling, "the node is back and is watched until %s", stamp(at))

		return
	}

	// What follows is done only if it is on record that the node has settled.
	if b.r.Status.SettledSince.IsZero() {
		return
	}

	if !b.isRestored() {
		b.next.Restore = b.r.mark()

		return
	}

	started := status.since(PhaseCordoned)
	message := fmt.Sprintf("rebooted, and back in boot %s", b.node.BootID)

	status.end(Result{Rebooted: true, Reason: ReasonRebooted, Message: message, StartedAt: started, FinishedAt: b.now})
	status.FailedAttempts = 0
	status.SettledSince = time.Time{}
	status.enter(PhaseDone, b.now)
	status.say(ReasonRebooted, "%s", message)
	b.next.Finalizer = true
}

// notWhole returns what the node lacks in its new boot.
func (b *reboot) notWhole() (Reason, string) {
	recovery := b.node.Recovery

	if !b.node.Ready {
		return ReasonNotReady, "the node is not Ready"
	}

	if kind, found := lacksCondition(&b.node, b.settings()); found {
		return ReasonGateClosed, fmt.Sprintf("the node's condition %s is not %s", kind, b.settings().Conditions[kind])
	}

	switch {
	case recovery.BootID == "":
		// The node has no rebound that reports on it.
		return "", ""
	case recovery.BootID != b.node.BootID:
		return ReasonNotRecovered, "rebound on the node has not reported on its DaemonSet pods in this boot; " +
			"if it no longer runs there, take the annotation " + annotationRecovery + " off the Node"
	case !recovery.Over:
		return ReasonNotRecovered, "DaemonSet pods: " + recovery.Message
	}

	return "", ""
}

// giveUp begins to give the node back.
func (b *reboot) giveUp(reason Reason, format string, args ...any) {
	status := &b.next.Status

	b.next.Pods, b.next.Cordon, b.next.Grant, b.next.CallTalos = nil, "", "", false
	status.SettledSince = time.Time{}
	status.enter(PhaseRestoring, b.now)
	status.say(reason, format, args...)
}

// isRestored tells whether nothing of this attempt is left on the node.
func (b *reboot) isRestored() bool {
	return b.node.CordonMark == "" && b.node.GrantUID == "" && b.node.RestoredMark == b.r.mark()
}

// planRestoring gives the node back, and then lets it wait for its next attempt.
func (b *reboot) planRestoring() {
	status := &b.next.Status

	// The grant was written before whoever gave up could know. Only if the node has refused the reboot does it not count.
	if b.exists && b.missingGrant() == "" && status.Reason != ReasonBlocked {
		status.Phase = PhaseGranted
		status.say(ReasonRebooting, "the reboot was granted after all")

		return
	}

	if b.exists && !b.isRestored() {
		b.next.Restore = b.r.mark()

		return
	}

	started := status.since(PhaseCordoned)
	status.end(Result{Reason: status.Reason, Message: status.Message, StartedAt: started, FinishedAt: b.now})

	if counts(status.Reason) {
		b.putOff()
	}

	status.Phase = PhasePending
}

// putOff counts a failed attempt.
func (b *reboot) putOff() {
	status := &b.next.Status
	status.FailedAttempts++
	status.NextAttemptAt = b.now.Add(backoff.Delay(status.FailedAttempts, backOffFirst, backOffLimit))
}

// counts tells whether an attempt that was given up for the reason puts the node off. What an administrator has decided does
// not: the node may go as soon as that changes. What comes and goes by itself does, or a node would be cordoned again and
// again; and so does what the node can bring about, its wish and the labels that policies go by, or one that is up to no good
// would be the first for ever.
func counts(reason Reason) bool {
	return !slices.Contains([]Reason{
		ReasonNodeMissing, ReasonDeleted, ReasonSuspended, ReasonNoBudget, ReasonPaused, ReasonPolicyInvalid, ReasonNotBefore,
		ReasonOutsideWindow,
	}, reason)
}

func limit(blocking []BlockingPod) []BlockingPod { return blocking[:min(len(blocking), namedPods)] }

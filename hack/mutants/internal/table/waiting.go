// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// gates is that no node is rebooted outside its window and its gates.
func gates() []mutation.Row {
	const window = "internal/reboot/window.go"

	return []mutation.Row{
		{
			Name: "gates/window", Rule: "Never outside the window.",
			File: eligibleFile, Old: "if !open {", New: "if !open && false {",
			Test: "TestAReboot/waits for its window",
		},
		{
			Name: "gates/window-long-enough", Rule: "A drain that does not fit in the window does not begin.",
			File: eligibleFile, Old: `!until.IsZero() && until.Sub(p.now) < policy.Drain.Timeout {`, New: `!until.IsZero() && false {`,
			Test: "TestAReboot/waits for the next window if its drain does not fit in this one",
		},
		{
			Name: "gates/window-throughout", Rule: "The window and the gates are looked at until the grant.",
			File: stepFile, Old: `found := b.veto(b.name, &b.r, b.policy)`, New: `found := obstacle{}`,
			Test: "TestUntilItIsGranted",
		},
		{
			Name: "gates/window-closes", Rule: "That a window closes is noticed when it does.",
			File: eligibleFile, Old: "if !until.IsZero() {\n\t\tp.wakeAt(until)\n\t}\n", New: "_ = until\n",
			Test: "TestAReboot/in its window begins, and is looked at when that closes",
		},
		{
			Name: "gates/window-start-day", Rule: "A window over midnight belongs to the day on which it starts.",
			File: window, Old: `day-2, 0, 0, 0, 0`, New: `day-1, 0, 0, 0, 0`,
			Test: "TestWhenWindowsAreOpen/over midnight it ends on the next day",
		},
		{
			Name: "gates/window-zone", Rule: "The wall clock is that of the zone.",
			File: window, Old: `firstShown(o.window.Start.on(o.day), o.window.Location)`, New: `firstShown(o.window.Start.on(o.day), time.UTC)`,
			Test: "TestWhenWindowsAreOpen/the wall clock is that of the zone",
		},
		{
			Name: "gates/window-end", Rule: "A window is closed at its end.",
			File: window, Old: "if !until.After(t) {", New: "if until.Before(t) {",
			Test: "TestWhenWindowsAreOpen/closed at the end",
		},
		{
			Name: "gates/conditions", Rule: "Never without the conditions that the policy demands.",
			File: eligibleFile, Old: `if kind, found := lacksCondition(node, policy); found {`, New: `if kind, found := lacksCondition(node, policy); found && false {`,
			Test: "TestAReboot/waits for a condition of its node",
		},
		{
			Name: "gates/do-not-disrupt", Rule: "Never a node that somebody has marked as not to be disrupted.",
			File: eligibleFile, Old: `if node.Kept != "" {`, New: `if false {`,
			Test: "TestAReboot/of a node that is not to be disrupted waits",
		},
		{
			Name: "gates/leaving", Rule: "Never a node that is being taken away.",
			File: eligibleFile, Old: `case node.Leaving != "":`, New: `case false:`,
			Test: "TestAReboot/of a node that is taken away waits",
		},
		{
			Name: "gates/not-before", Rule: "Never before the time that the request gives.",
			File: eligibleFile, Old: `if p.now.Before(r.NotBefore) {`, New: `if false {`,
			Test: "TestForceStillWants/its time",
		},
		{
			Name: "gates/suspended", Rule: "Never while it is suspended.",
			File: eligibleFile, Old: `case r.Suspend:`, New: `case false:`,
			Test: "TestAReboot/that is suspended waits",
		},
		{
			Name: "gates/withdrawn", Rule: "Never if the node itself no longer wants it.",
			File: eligibleFile, Old: `case isWithdrawn(r, &node):`, New: `case false:`,
			Test: "TestUntilItIsGranted",
		},
		{
			Name: "gates/not-ready", Rule: "A node that is not Ready is not drained.",
			File: eligibleFile, Old: `if !node.Ready {`, New: `if false {`,
			Test: "TestAReboot/of a node that is not Ready waits",
		},
		{
			Name: "gates/cooldown", Rule: "Never again before the cooldown is over.",
			File: eligibleFile, Old: `!last.IsZero() && p.now.Before(last.Add(policy.Cooldown)) {`, New: `!last.IsZero() && false {`,
			Test: "TestAReboot/waits for the cooldown, whatever was given up since",
		},
		{
			Name: "gates/policy-error", Rule: "A policy that cannot be used reboots nothing.",
			File: eligibleFile, Old: `case policy.Error != "":`, New: `case false:`,
			Test: "TestAReboot/with a policy that is wrong waits",
		},
		{
			Name: "gates/force", Rule: "Force stands above the window and the gates.",
			File: eligibleFile, Old: "if !r.Force {\n\t\tif found := p.closed", New: "if true {\n\t\tif found := p.closed",
			Test: "TestForceStandsAboveAllThatConcernsOnlyTheNode",
		},
		{
			Name: "gates/recovered", Rule: "A node is not back before its DaemonSet pods have recovered.",
			File: stepFile, Old: `case !recovery.Over:`, New: `case false:`,
			Test: "TestAStep/Back waits until the DaemonSet pods have recovered",
		},
		{
			Name: "gates/recovered-in-this-boot", Rule: "The recovery of another boot does not count.",
			File: stepFile, Old: `case recovery.BootID != b.node.BootID:`, New: `case false:`,
			Test: "TestAStep/Back does not count the recovery of another boot",
		},
		{
			Name: "gates/settles", Rule: "A node is not back before it has been whole for the settle time.",
			File: stepFile, Old: "if at := status.SettledSince.Add(b.settings().Settle); b.now.Before(at) {", New: "if at := status.SettledSince.Add(b.settings().Settle); false {",
			Test: "TestAStep/Back watches on",
		},
		{
			Name: "gates/settles-anew", Rule: "A break begins the settle time anew.",
			File: stepFile, Old: "problem != \"\" {\n\t\tstatus.SettledSince = time.Time{}", New: "problem != \"\" {",
			Test: "TestANodeThatBreaksWhileItIsWatchedIsWatchedAnew",
		},
	}
}

// quorum is that the control plane stays.
func quorum() []mutation.Row {
	const (
		quorumFile = "internal/reboot/quorum.go"
		nodeFile   = "cmd/rebound-coordinator/internal/read/node.go"
	)

	return []mutation.Row{
		{
			Name: "quorum/second", Rule: "Never a second control plane.",
			File: quorumFile, Old: `if p.isTaken(other) {`, New: `if false {`,
			Test: "TestAControlPlane/waits for another one that is being rebooted, whatever the limits",
		},
		{
			Name: "quorum/second-with-force", Rule: "Not with force either.",
			File: quorumFile, Old: `if p.isTaken(other) {`, New: `if p.isTaken(other) && !r.Force {`,
			Test: "TestForceStandsAboveTheHealthOfEtcdOnly",
		},
		{
			Name: "quorum/slot", Rule: "One that only has a slot counts.",
			File: slotsFile, Old: `return holds || p.reserved[name] ||`, New: `return p.reserved[name] || holds && false ||`,
			Test: "TestAControlPlane/waits for another one that only has a slot",
		},
		{
			Name: "quorum/checked", Rule: "One that is being checked counts.",
			File: slotsFile, Old: `return holds || p.reserved[name] ||`, New: `return holds ||`,
			Test: "TestAControlPlane/waits for another one that is being checked",
		},
		{
			Name: "quorum/ready", Rule: "Only while the others are Ready.",
			File: quorumFile, Old: `if !node.Ready {`, New: `if false {`,
			Test: "TestAControlPlane/waits for another one that is not Ready",
		},
		{
			Name: "quorum/voter", Rule: "Only while the others vote (K3s and RKE2).",
			File: quorumFile, Old: `if voter != "True" {`, New: `if voter == "" {`,
			Test: "TestAControlPlane/waits for another one that votes no more",
		},
		{
			Name: "quorum/etcd-pods", Rule: "Only while the pods of etcd are Ready.",
			File: quorumFile, Old: `if node.EtcdPodsReady < node.EtcdPods {`, New: `if false {`,
			Test: "TestAControlPlane/waits for a pod of etcd that is not Ready",
		},
		{
			Name: "quorum/etcd-pods-are-counted", Rule: "A pod of etcd that is not Ready is seen.",
			File: nodeFile, Old: "if isReady(&pods[i]) {", New: "if true {",
			Test: "TestPodsAreReadOfNodesWithSomethingToDo",
		},
		{
			Name: "quorum/talos", Rule: "Only if etcd can do without it, as its Talos API says.",
			File: quorumFile, Old: `|| answer.EtcdProblem == "" {`, New: `|| true {`,
			Test: "TestAControlPlane/waits for an etcd that is not well",
		},
		{
			Name: "quorum/talos-is-asked", Rule: "That is asked before the slot is taken.",
			File: stepFile, Old: "if !b.isChecked(b.name, b.policy) {\n\t\tb.reserved", New: "if false {\n\t\tb.reserved",
			Test: "TestAControlPlane/asks its Talos API first whether etcd can do without it",
		},
		{
			Name: "quorum/talos-is-asked-again", Rule: "And again before the grant.",
			File: stepFile, Old: "if !b.isChecked(b.name, b.policy) {\n\t\treturn\n\t}\n", New: "",
			Test: "TestADrainedControlPlaneIsCheckedAgainBeforeItsGrant",
		},
		{
			Name: "quorum/talos-old-answer", Rule: "An old answer does not count.",
			File: eligibleFile, Old: `if at.IsZero() || p.now.Sub(at) >= checkInterval {`, New: `if at.IsZero() {`,
			Test: "TestAControlPlane/asks again when the answer is old",
		},
		{
			Name: "quorum/throughout", Rule: "Another control plane that fails brings the node back.",
			File: eligibleFile, Old: `if problem := p.quorum(name, r); problem != "" {`, New: `if problem := p.quorum(name, r); problem != "" && r.Status.Phase.waits() {`,
			Test: "TestUntilItIsGranted",
		},
		{
			Name: "quorum/labels", Rule: "A member of etcd is a control plane.",
			File: nodeFile, Old: `"node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd",`, New: `"node-role.kubernetes.io/master",`,
			Test: "TestNodeFacts/a member of etcd",
		},
		{
			Name: "quorum/force", Rule: "Force stands above the health of the others.",
			File: quorumFile, Old: `problem != "" && !r.Force {`, New: `problem != "" {`,
			Test: "TestForceStandsAboveTheHealthOfEtcdOnly",
		},
	}
}

// queue is that a blocked node delays nobody, and that every node that can go does.
func queue() []mutation.Row {
	return []mutation.Row{
		{
			Name: "queue/preflight", Rule: "A node whose pods cannot leave takes no slot.",
			File: eligibleFile, Old: `if blocked := p.preflight(name, policy); len(blocked) > 0 {`, New: `if blocked := p.preflight(name, policy); false {`,
			Test: "TestABlockedNodeIsPassedOver",
		},
		{
			Name: "queue/preflight-names", Rule: "It says which pod and which budget.",
			File: drainFile, Old: `return fmt.Sprintf("PodDisruptionBudget %s allows no disruption now", name)`, New: `return "a budget allows no disruption now"`,
			Test: "TestPreflight/holds what the budget holds",
		},
		{
			Name: "queue/preflight-allowed", Rule: "A budget that allows a disruption holds nobody.",
			File: drainFile, Old: `case budget.Allowed < 1:`, New: `case budget.Allowed < 2:`,
			Test: "TestPreflight/allows what the budget allows",
		},
		{
			Name: "queue/preflight-unhealthy", Rule: "A pod that may go as it is not Ready holds nobody.",
			File: drainFile, Old: `case !pod.Ready && (budget.AlwaysAllowsUnhealthy || budget.Healthy):`, New: `case false:`,
			Test: "TestPreflight/allows what is not Ready while the others suffice",
		},
		{
			Name: "queue/preflight-old-numbers", Rule: "A budget that was not computed yet is not trusted.",
			File: drainFile, Old: `case !budget.Current:`, New: `case false:`,
			Test: "TestPreflight/does not trust old numbers",
		},
		{
			Name: "queue/preflight-stays", Rule: "Pods that stay hold nobody.",
			File: drainFile, Old: `if pod.DaemonSet || pod.Mirror || pod.Finished || !pod.Selected {`, New: `if pod.Mirror || pod.Finished || !pod.Selected {`,
			Test: "TestPreflightDoesNotLookAt/pods of DaemonSets",
		},
		{
			Name: "queue/several-budgets", Rule: "Several budgets on one pod are told as such.",
			File: drainFile, Old: `if len(pod.Budgets) > 1 {`, New: `if len(pod.Budgets) > 2 {`,
			Test: "TestPreflight/holds what two budgets select, whatever they allow",
		},
		{
			Name: "queue/give-up", Rule: "A node that is blocked in the middle is given up when its time is over.",
			File: stepFile, Old: `overtime := !b.now.Before(timeout)`, New: `overtime := b.now.Before(timeout) && false`,
			Test: "TestWhenTheTimeIsOver/the node is given up by default",
		},
		{
			Name: "queue/give-up-in-time", Rule: "It is given up then even if nothing else happens.",
			File: stepFile, Old: "case !overtime:\n\t\tb.wakeAt(timeout)", New: "case !overtime:",
			Test: "TestWhenTheTimeIsOver/and not before",
		},
		{
			Name: "queue/back-off", Rule: "A node that was given up waits.",
			File: eligibleFile, Old: `if !p.now.Before(next) {`, New: `if true {`,
			Test: "TestAReboot/that was given up waits for its next attempt, and says why",
		},
		{
			Name: "queue/back-off-grows", Rule: "It waits longer each time, up to an hour.",
			File: stepFile, Old: `backoff.Delay(status.FailedAttempts, backOffFirst, backOffLimit)`, New: `backoff.Delay(1, backOffFirst, backOffLimit)`,
			Test: "TestTheBackOffDoublesFromAMinuteToAnHour",
		},
		{
			Name: "queue/back-off-ends", Rule: "And no longer than that.",
			File: "internal/reboot/limits.go", Old: `backOffLimit = time.Hour`, New: `backOffLimit = 2 * time.Hour`,
			Test: "TestTheBackOffDoublesFromAMinuteToAnHour",
		},
		{
			Name: "queue/decided", Rule: "What an administrator has decided puts nobody off.",
			File: stepFile, Old: "ReasonNotBefore,\n\t\tReasonOutsideWindow,", New: "ReasonNotBefore,",
			Test: "TestWhatAnAdministratorDecidesDoesNotPutANodeOff",
		},
		{
			Name: "queue/priority", Rule: "The highest priority goes first.",
			File: planFile, Old: `cmp.Compare(y.priority, x.priority), `, New: ``,
			Test: "TestTheQueue",
		},
		{
			Name: "queue/fewest-failed", Rule: "Then the fewest failed attempts.",
			File: planFile, Old: `cmp.Compare(x.failed, y.failed), `, New: ``,
			Test: "TestTheQueue",
		},
		{
			Name: "queue/age", Rule: "Then the oldest request.",
			File: planFile, Old: `x.at.Compare(y.at), `, New: ``,
			Test: "TestTheQueue",
		},
		{
			Name: "queue/one-failure", Rule: "What fails for one does not keep the others from being done.",
			File: applyFile, Old: `	results.add(a.writeBudget(ctx, s, d))`, New: "\tif err := a.writeBudget(ctx, s, d); err != nil {\n\t\treturn false, err\n\t}",
			Test: "TestOneFailureDoesNotKeepTheRestFromBeingDone",
		},
		{
			Name: "queue/under-way-first", Rule: "What is under way is written before the queue.",
			File: applyFile, Old: `cmp.Compare(reboots[a].Status.Place, reboots[b].Status.Place), `, New: ``,
			Test: "TestWhatIsUnderWayIsWrittenBeforeTheQueue",
		},
		{
			Name: "queue/news", Rule: "A node that something changes for is decided about.",
			File: "cmd/rebound-coordinator/internal/coordinator/watch.go", Old: `return !isNode || r.isBusy(now.Name) || !sameNode(was, now)`, New: `return !isNode || r.isBusy(now.Name) || was == nil`,
			Test: "TestChangesOfANodeThatHasNothingToDo",
		},
		{
			Name: "queue/pods-are-news", Rule: "So is one whose pods change.",
			File: "cmd/rebound-coordinator/internal/coordinator/watch.go", Old: `return ok && r.isBusy(pod.Spec.NodeName)`, New: `return ok && r.isBusy(pod.Name)`,
			Test: "TestChangesOfPodsMatterOnNodesWithSomethingToDo",
		},
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

const (
	planFile     = "internal/reboot/plan.go"
	slotsFile    = "internal/reboot/slots.go"
	stepFile     = "internal/reboot/step.go"
	eligibleFile = "internal/reboot/eligible.go"
	drainFile    = "internal/reboot/drain.go"

	applyFile = "cmd/rebound-coordinator/internal/apply/apply.go"
	evictFile = "cmd/rebound-coordinator/internal/apply/evict.go"
	storeFile = "cmd/rebound-coordinator/internal/store/store.go"

	applyFolder = "cmd/rebound-coordinator/internal/apply"
)

// slots is that never more nodes are taken than the budget and the policy allow.
func slots() []mutation.Row {
	return []mutation.Row{
		{
			Name: "slots/budget", Rule: "Never more nodes than the budget allows.",
			File: slotsFile, Old: "len(down) >= limit {\n\t\treturn fmt.Sprintf(\"the RebootBudget", New: "len(down) > limit {\n\t\treturn fmt.Sprintf(\"the RebootBudget",
			Test: "TestASlot/is held from before the cordon on",
		},
		{
			Name: "slots/policy", Rule: "Never more nodes than the policy allows.",
			File: slotsFile, Old: "len(down) >= limit {\n\t\treturn fmt.Sprintf(\"RebootPolicy", New: "len(down) > limit {\n\t\treturn fmt.Sprintf(\"RebootPolicy",
			Test: "TestASlot/is one of the policy as well",
		},
		{
			Name: "slots/percent", Rule: "A percentage is rounded down.",
			File: "internal/reboot/facts.go", Old: `nodes*l.Percent/100`, New: `(nodes*l.Percent+99)/100`,
			Test: "TestASlot/in percent ends where it should",
		},
		{
			Name: "slots/not-ready", Rule: "A node that is not Ready counts.",
			File: planFile, Old: `if !node.Ready || node.Unschedulable {`, New: `if node.Unschedulable {`,
			Test: "TestASlot/is counted for a node that is not Ready",
		},
		{
			Name: "slots/cordoned", Rule: "A node that somebody else has cordoned counts.",
			File: planFile, Old: `if !node.Ready || node.Unschedulable {`, New: `if !node.Ready {`,
			Test: "TestASlot/is counted for a node that somebody has cordoned",
		},
		{
			Name: "slots/of-this-decision", Rule: "A slot that was given away a moment ago counts.",
			File: slotsFile, Old: `slices.Sorted(maps.Keys(p.holders)) {`, New: `slices.Sorted(maps.Keys(p.facts.Budget.Holders)) {`,
			Test: "TestASlot/is not given to two who ask at once",
		},
		{
			Name: "slots/reserved", Rule: "A node that is being checked keeps its slot free.",
			File: stepFile, Old: `b.reserved[b.name] = true`, New: `_ = b.reserved`,
			Test: "TestASlot/is kept for one that comes first and is being checked",
		},
		{
			Name: "slots/while-restoring", Rule: "A node that is given back holds its slot until that is done.",
			File: "internal/reboot/status.go", Old: `PhaseBack, PhaseRestoring:`, New: `PhaseBack:`,
			Test: "TestASlot/is held while a node is given back",
		},
		{
			Name: "slots/before-the-cordon", Rule: "A slot is on record before its attempt begins.",
			File: stepFile, Old: "case !holds:\n", New: "case !holds && b.noSlot(b.name, b.policy) != \"\":\n",
			Test: "TestAReboot/that nothing stands against takes a slot",
		},
		{
			Name: "slots/attempt-to-come", Rule: "A slot is kept for the attempt that is to come.",
			File: slotsFile, Old: `!r.Status.Phase.Active() && holder.Attempt <= r.Status.Attempt`, New: `!r.Status.Phase.Active()`,
			Test: "TestTheBudget/does not take a slot back for an attempt before that",
		},
		{
			Name: "slots/ended-on-record", Rule: "A slot is given back once its attempt is on record as ended, and not before.",
			File: stepFile, Old: "status.Attempt = holder.Attempt\n\t\tstatus.say(found.reason", New: "status.say(found.reason",
			Test: "TestAnAttemptEndsBeforeItsSlotIsGivenBack",
		},
		{
			Name: "slots/given-back", Rule: "A slot whose attempt has ended is given back.",
			File: slotsFile, Old: `holder.Attempt <= r.Status.Attempt`, New: `holder.Attempt < r.Status.Attempt`,
			Test: "TestTheBudget/takes a slot back whose attempt is on record as ended",
		},
		{
			Name: "slots/of-another-object", Rule: "A slot of an object that is gone is given back.",
			File: slotsFile, Old: `!exists || r.UID != holder.UID || `, New: `!exists || `,
			Test: "TestTheBudget/takes a slot back from an object that is gone",
		},
		{
			Name: "slots/under-way", Rule: "Whoever is under way has a slot.",
			File: slotsFile, Old: `if _, ok := p.holders[name]; !ok && r.Status.Phase.Active() {`, New: `if false {`,
			Test: "TestTheBudget/gives a slot to who is under way without one",
		},
		{
			Name: "slots/not-back", Rule: "A node that does not come back keeps its slot.",
			File: stepFile, Old: `status.say(ReasonNotBack, `, New: `b.giveUp(ReasonNotBack, `,
			Test: "TestAStep/Granted keeps the slot of a node that does not reboot",
		},
		{
			Name: "slots/left-its-policy", Rule: "A slot counts for the policy that it was taken from.",
			File: slotsFile, Old: `add(name, p.holders[name].Policy, "being rebooted")`, New: `add(name, "", "being rebooted")`,
			Test: "TestASlot/of a policy is counted for a node that has left it since",
		},
		{
			Name: "slots/paused", Rule: "A budget that is paused allows nothing.",
			File: eligibleFile, Old: `case p.facts.Budget.Paused:`, New: `case false:`,
			Test: "TestAReboot/waits while the budget is paused",
		},
		{
			Name: "slots/no-budget", Rule: "Without a budget nothing is rebooted.",
			File: "cmd/rebound-coordinator/internal/store/store.go", Old: `if list.Items[i].Name == v1alpha1.RebootBudgetName {`, New: `if list.Items[i].Name != "" {`,
			Folder: "cmd/rebound-coordinator/internal/read", Test: "TestTheBudgetIsTheOneNamedDefault",
		},
		{
			Name: "slots/no-policy", Rule: "A node that no policy selects is not rebooted.",
			File: eligibleFile, Old: `return because(ReasonNoPolicy, "no RebootPolicy selects the node")`, New: `return obstacle{}`,
			Test: "TestUntilItIsGranted",
		},
	}
}

// leaders is that two coordinators at once do no more than one.
func leaders() []mutation.Row {
	return []mutation.Row{
		{
			Name: "leaders/status-conflict", Rule: "A status is written only as it was read.",
			File: storeFile, Old: `	if err := s.client.Status().Update(ctx, object); err != nil {`,
			New:    "\tvar live v1alpha1.RebootBudget\n\tif s.live.Get(ctx, client.ObjectKeyFromObject(object), &live) == nil {\n\t\tobject.SetResourceVersion(live.ResourceVersion)\n\t}\n\n\tif err := s.client.Status().Update(ctx, object); err != nil {",
			Folder: applyFolder, Test: "TestTheLastSlotCannotBeTakenTwice",
		},
		{
			Name: "leaders/patch-conflict", Rule: "An object is patched only as it was read.",
			File: storeFile, Old: `metadata["uid"], metadata["resourceVersion"] = object.GetUID(), object.GetResourceVersion()`, New: `metadata["uid"] = object.GetUID()`,
			Folder: applyFolder, Test: "TestACordonOfANodeThatChangedIsAConflict",
		},
		{
			Name: "leaders/patch-names-the-object", Rule: "An object that was made anew is not patched for the one before.",
			File: storeFile, Old: `metadata["uid"], metadata["resourceVersion"] = object.GetUID(), object.GetResourceVersion()`, New: `metadata["resourceVersion"] = object.GetResourceVersion()`,
			Test: "TestAPatchNamesTheObjectThatWasRead",
		},
		{
			Name: "leaders/delete-conflict", Rule: "A wish is deleted only as it was read.",
			File: storeFile, Old: `UID: &object.UID, ResourceVersion: &object.ResourceVersion,`, New: `UID: &object.UID,`,
			Test: "TestADeleteOfWhatHasChangedIsAConflict",
		},
		{
			Name: "leaders/own-writes", Rule: "No decision rests on an object that the one before it has changed.",
			File: storeFile, Old: `err == nil && order > 0 {`, New: `err == nil && order > 1 {`,
			Test: "TestOwnWritesAreReadBackBeforeTheCacheHasThem",
		},
		{
			Name: "leaders/newer-cache", Rule: "What others have written since counts.",
			File: storeFile, Old: `err == nil && order > 0 {`, New: `err == nil && order > -2 {`,
			Test: "TestANewerCacheWins",
		},
		{
			Name: "leaders/unknown-holder", Rule: "The slot of what the cache does not have is not given away before the API server was asked.",
			File: applyFile, Old: `if live != nil && string(live.UID) == holder.UID {`, New: `if live != nil && false {`,
			Test: "TestASlotIsNotGivenAwayWhileItsNodeRebootIsThere",
		},
		{
			Name: "leaders/step-on-record", Rule: "A Node is written only in the step that is on record.",
			File: applyFile, Old: `if next.Cordon+next.Restore+next.Grant != "" {`, New: `if false {`,
			Test: "TestANodeIsNotWrittenForAnAttemptThatIsOver",
		},
		{
			Name: "leaders/status-first", Rule: "Nothing follows a status that could not be written.",
			File: applyFile, Old: "if err := a.writeStatus(ctx, object, next); err != nil {\n\t\treturn err\n\t}", New: "_ = a.writeStatus(ctx, object, next)",
			Test: "TestNothingFollowsAStatusThatIsAConflict",
		},
		{
			Name: "leaders/deadline", Rule: "Nothing is sent after the renew deadline.",
			File: "cmd/rebound-coordinator/internal/coordinator/election.go", Old: `return renewed != nil && time.Since(*renewed) >= l.validFor`, New: `return renewed != nil && time.Since(*renewed) >= time.Hour`,
			Test: "TestNothingIsSentOnceTheLeadershipIsLost",
		},
		{
			Name: "leaders/late-cordon", Rule: "A cordon of an attempt that was given up comes too late.",
			File: stepFile, Old: ` && b.node.RestoredMark == b.r.mark()`, New: ``,
			Test: "TestAStep/Restoring leaves its mark even if it has found nothing, or a late cordon would succeed",
		},
		{
			Name: "leaders/evictions-end", Rule: "No eviction that waits for its turn is begun for a node that is given back.",
			File: evictFile, Old: `maps.DeleteFunc(e.waiting, func(uid string, _ reboot.PodAction) bool { return !asked(uid) })`, New: ``,
			Test: "TestWhatIsNoLongerWantedIsNotBegun",
		},
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// grants is that a node is rebooted only from a grant for its present boot: the coordinator's part.
func grants() []mutation.Row {
	return []mutation.Row{
		{
			Name: "grant/boot", Rule: "An attempt is about the boot in which it began.",
			File: stepFile, Old: `status.BootID = b.node.BootID`, New: `_ = b.node.BootID`,
			Test: "TestANewAttemptForgetsTheLastOne",
		},
		{
			Name: "grant/names-the-boot", Rule: "The grant on the node names that boot.",
			File: applyFile, Old: `v1alpha1.Grant{UID: object.UID, BootID: next.Grant}`, New: `v1alpha1.Grant{UID: object.UID, BootID: node.Status.NodeInfo.BootID}`,
			Test: "TestAGrantNamesTheBoot",
		},
		{
			Name: "grant/rebooted-by-itself", Rule: "A node that has rebooted by itself is not granted another one.",
			File: stepFile, Old: `case b.exists && b.node.BootID != b.r.Status.BootID:`, New: `case false:`,
			Test: "TestAStep/Drained waits for the new boot of a node that has rebooted by itself",
		},
		{
			Name: "grant/new-boot", Rule: "With the new boot the reboot is over.",
			File: stepFile, Old: `case b.node.BootID != status.BootID:`, New: `case status == nil:`,
			Test: "TestAStep/Granted ends with the new boot",
		},
		{
			Name: "grant/for-another-boot", Rule: "A grant for another boot is not the one of this attempt.",
			File: stepFile, Old: `if b.node.GrantUID == b.r.UID && b.node.GrantBootID == b.r.Status.BootID {`, New: `if b.node.GrantUID == b.r.UID {`,
			Test: "TestAStep/Granted replaces the grant for another boot",
		},
		{
			Name: "grant/after-its-step", Rule: "No grant is written before that step is on record.",
			File: stepFile, Old: "status.enter(PhaseGranted, b.now)", New: "status.enter(PhaseGranted, b.now)\n\tb.next.Grant = b.node.BootID",
			Test: "TestAStep/Drained grants nothing yet, but says that it will",
		},
		{
			Name: "grant/final", Rule: "A grant that is on the node is final.",
			File: stepFile, Old: "if b.exists && b.missingGrant() != \"\" {\n\t\tfound", New: "if b.exists {\n\t\tfound",
			Test: "TestUntilItIsGranted",
		},
		{
			Name: "grant/not-yet-written", Rule: "Until it is on the node, whatever comes up still counts.",
			File: stepFile, Old: "if b.exists && b.missingGrant() != \"\" {\n\t\tfound", New: "if false {\n\t\tfound",
			Test: "TestUntilItIsGranted",
		},
		{
			Name: "grant/late", Rule: "A grant that was written after its attempt was given up stands.",
			File: stepFile, Old: `if b.exists && b.missingGrant() == "" && status.Reason != ReasonBlocked {`, New: `if false {`,
			Test: "TestAGrantThatWasWrittenAfterItWasGivenUpStands",
		},
		{
			Name: "grant/restored", Rule: "A node that is given back has no grant.",
			File: applyFile, Old: `{v1alpha1.CordonAnnotation: nil, v1alpha1.GrantAnnotation: nil}`, New: `{v1alpha1.CordonAnnotation: nil}`,
			Test: "TestARestoreTakesAwayWhatIsOurs",
		},
		{
			Name: "grant/stray", Rule: "A grant without a reboot under way is found.",
			File: planFile, Old: `if (node.CordonMark != "" || node.GrantUID != "") && `, New: `if node.CordonMark != "" && `,
			Test: "TestAStray",
		},
		{
			Name: "grant/unreadable", Rule: "A grant that cannot be read is known to be there.",
			File: "cmd/rebound-coordinator/internal/read/node.go", Old: `cmp.Or(string(grant.UID), "unknown")`, New: `cmp.Or(string(grant.UID), "")`,
			Test: "TestNodeFacts/a grant that cannot be parsed is still there",
		},
	}
}

// agent is the part of the agent on the node.
func agent() []mutation.Row {
	const decision = "internal/agent/reboot/decision.go"

	return []mutation.Row{
		{
			Name: "agent/present-boot", Rule: "The agent reboots only if the grant is for the present boot.",
			File: decision, Old: `case grant.BootID != f.BootID:`, New: `case false:`,
			Test: "TestAGrantForAnotherBootDoesNothing",
		},
		{
			Name: "agent/unknown-boot", Rule: "Nothing counts in a boot that cannot be told.",
			File: decision, Old: `case f.BootID == "":`, New: `case false:`,
			Test: "TestNothingCountsInABootThatCannotBeTold",
		},
		{
			Name: "agent/no-boot", Rule: "A grant for no boot counts in none.",
			File: decision, Old: `case grant.UID == "" || grant.BootID == "":`, New: `case grant.UID == "":`,
			Test: "TestWhatAGrantLeadsTo/one for no boot",
		},
		{
			Name: "agent/no-nodereboot", Rule: "A grant for no NodeReboot counts for nothing.",
			File: decision, Old: `case grant.UID == "" || grant.BootID == "":`, New: `case grant.BootID == "":`,
			Test: "TestWhatAGrantLeadsTo/one for no NodeReboot",
		},
		{
			Name: "agent/malformed", Rule: "A grant that cannot be read counts for nothing.",
			File: decision, Old: "case err != nil:\n\t\treturn Plan{Verdict: VerdictMalformed", New: "case err != nil && f.BootID == \"\":\n\t\treturn Plan{Verdict: VerdictMalformed",
			Test: "TestWhatAGrantLeadsTo/a boot id alone",
		},
		{
			Name: "agent/under-way", Rule: "A reboot that is being asked for is not asked for again.",
			File: decision, Old: `case a.UnderWay:`, New: `case false:`,
			Test: "TestWhatAGrantLeadsTo/one under way",
		},
		{
			Name: "agent/once", Rule: "A grant reboots the machine once.",
			File: decision, Old: `at := a.At.Add(stillUpTime); now.Before(at) {`, New: `at := a.At.Add(stillUpTime); false {`,
			Test: "TestWhatAGrantLeadsTo/one that was agreed to",
		},
		{
			Name: "agent/boot-is-read-anew", Rule: "Which boot this is, is read when it counts.",
			File: "internal/agent/reboot/run.go", Old: "if err != nil {\n\t\tbootID = \"\"\n", New: "if err != nil {\n",
			Test: "TestTheBootIsReadWhenItCounts",
		},
		{
			Name: "agent/dry-run", Rule: "A dry run reboots nothing.",
			File: "internal/agent/reboot/run.go", Old: `if plan.Verdict == VerdictReboot && !n.DryRun {`, New: `if plan.Verdict == VerdictReboot {`,
			Test: "TestADryRunDoesNothingButSayWhatItWould",
		},
		{
			Name: "agent/late-answer", Rule: "The answer to a report hides no grant that came after it.",
			File: "internal/agent/reboot/run.go", Old: `n.node == nil || !isOlder(node, n.node.ResourceVersion)`, New: `true`,
			Test: "TestAnAnswerDoesNotHideAGrantThatCameAfterIt",
		},
		{
			Name: "agent/reported-in-this-boot", Rule: "What an agent has said in another boot says nothing.",
			File: "internal/reboot/wish.go", Old: `return n.BootID != "" && n.Agent.BootID == n.BootID`, New: `return n.BootID != "" && n.Agent.BootID != ""`,
			Test: "TestAReboot/waits for an agent that has reported in another boot",
		},
	}
}

// talos is the same for nodes that are rebooted through their Talos API, whose request does not say which boot is to end.
func talos() []mutation.Row {
	const talosFile = "cmd/rebound-coordinator/internal/apply/talos.go"

	return []mutation.Row{
		{
			Name: "talos/after-the-grant", Rule: "The Talos API is asked only once the grant is on record.",
			File: applyFile, Old: "BootID: next.Grant}); err != nil {\n\t\t\treturn err", New: "BootID: next.Grant}); err != nil && ctx.Err() != nil {\n\t\t\treturn err",
			Test: "TestTheTalosAPIIsCalledOnceTheGrantIsOnRecord",
		},
		{
			Name: "talos/identity", Rule: "A machine is told to reboot only if it says that it is that node.",
			File: "cmd/rebound-coordinator/internal/talos/client.go", Old: `is != name {`, New: `false {`,
			Test: "TestANodeWithTheAddressOfAnotherRebootsNeither",
		},
		{
			Name: "talos/late", Rule: "It is not asked so late that the node could have rebooted already.",
			File: talosFile, Old: `if !late {`, New: `if true {`,
			Test: "TestARebootIsNotAskedForTooLate",
		},
		{
			Name: "talos/in-flight", Rule: "It is not asked again while it has not answered.",
			File: stepFile, Old: `case ours && answer.InFlight:`, New: `case false:`,
			Test: "TestTheTalosAPI/is not called again while it has not answered",
		},
		{
			Name: "talos/alive", Rule: "It is asked again only if the kubelet has lived on in the old boot.",
			File: stepFile, Old: `b.node.HeartbeatAt.After(asked.Add(aliveAfter))`, New: `!b.now.Before(asked.Add(aliveAfter))`,
			Test: "TestTheTalosAPI/is not called again because time has passed",
		},
		{
			Name: "talos/alive-and-ready", Rule: "A node that is not Ready is not asked again.",
			File: stepFile, Old: `case b.node.Ready && b.node.HeartbeatAt`, New: `case b.node.HeartbeatAt`,
			Test: "TestTheTalosAPI/is not called again while the node is not Ready",
		},
		{
			Name: "talos/heard-before", Rule: "That nobody has heard of the last request is no hurry if the one before may have been heard.",
			File: stepFile, Old: `case ours && answer.Unsent && !answer.AskedBefore:`, New: `case ours && answer.Unsent:`,
			Test: "TestTheTalosAPI/is not called again soon if it may have been heard before",
		},
		{
			Name: "talos/heard-before-is-kept", Rule: "It is known whether an earlier request may have been heard.",
			File: talosFile, Old: `again = answer.AskedBefore || !answer.Unsent`, New: `again = answer.AskedBefore`,
			Test: "TestItIsKnownWhetherAnEarlierRequestMayHaveBeenHeard/after one that was heard",
		},
		{
			Name: "talos/refused", Rule: "A node that has refused is given back.",
			File: stepFile, Old: `case ours && answer.Refused:`, New: `case false:`,
			Test: "TestTheTalosAPI/that has refused brings the node back",
		},
		{
			Name: "talos/once-at-a-time", Rule: "One question is asked at a time.",
			File: talosFile, Old: "if t.asking[q] {\n\t\treturn\n\t}\n", New: "",
			Test: "TestAQuestionIsAskedOnceAtATime",
		},
	}
}

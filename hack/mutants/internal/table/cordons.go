// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// cordons is that ours are removed by us, and that nobody else's is.
func cordons() []mutation.Row {
	return []mutation.Row{
		{
			Name: "cordon/after-its-step", Rule: "A node is cordoned only when that step is on record.",
			File: stepFile, Old: "if b.r.Status.Phase == PhaseCordoned {\n\t\t\tb.next.Cordon", New: "if true {\n\t\t\tb.next.Cordon",
			Test: "TestAStep/Drained goes back to Cordoned if a foreign cordon was lifted",
		},
		{
			Name: "cordon/marked", Rule: "A cordon of ours bears our mark, in the same patch.",
			File: applyFile, Old: `map[string]any{v1alpha1.CordonAnnotation: mark}},`, New: `map[string]any{}},`,
			Test: "TestTheStatusIsWrittenBeforeAnythingElse",
		},
		{
			Name: "cordon/foreign-at-the-start", Rule: "A cordon of somebody else is not made ours.",
			File: stepFile, Old: "\tcase !b.node.Unschedulable:\n\t\t// Also", New: "\tcase b.node.CordonMark == \"\":\n\t\t// Also",
			Test: "TestAStep/Cordoned goes on with a cordon that is somebody else's",
		},
		{
			Name: "cordon/foreign-at-the-end", Rule: "A cordon of somebody else is never removed.",
			File: applyFile, Old: `if node.Annotations[v1alpha1.CordonAnnotation] != "" {`, New: `if true {`,
			Test: "TestARestoreTakesAwayWhatIsOurs/a cordon of somebody else is left",
		},
		{
			Name: "cordon/ours-at-the-end", Rule: "A cordon of ours is removed.",
			File: applyFile, Old: `if node.Annotations[v1alpha1.CordonAnnotation] != "" {`, New: `if false {`,
			Test: "TestARestoreTakesAwayWhatIsOurs/a cordon with our mark goes",
		},
		{
			Name: "cordon/mark-is-read", Rule: "It is known which cordon is ours.",
			File: "cmd/rebound-coordinator/internal/read/node.go", Old: `object.Annotations[v1alpha1.CordonAnnotation],`, New: `"",`,
			Test: "TestNodeFacts/a cordon with a mark is ours",
		},
		{
			Name: "cordon/back-restores", Rule: "A node that is back is not done before its cordon is gone.",
			File: stepFile, Old: "if !b.isRestored() {\n\t\tb.next.Restore = b.r.mark()\n\n\t\treturn\n\t}\n\n\tstarted := status.since(PhaseCordoned)\n\tmessage",
			New:  "started := status.since(PhaseCordoned)\n\tmessage",
			Test: "TestAStep/Back gives the node back once it has settled",
		},
		{
			Name: "cordon/give-up-restores", Rule: "A node that is given up does not wait again before its cordon is gone.",
			File: stepFile, Old: `if b.exists && !b.isRestored() {`, New: `if false {`,
			Test: "TestAStep/Restoring gives the node back",
		},
		{
			Name: "cordon/late", Rule: "A cordon that comes after the node was given back is removed too.",
			File: stepFile, Old: `return b.node.CordonMark == "" && b.node.GrantUID == ""`, New: `return b.node.GrantUID == ""`,
			Test: "TestAStep/Restoring removes a cordon that has come after its mark",
		},
		{
			Name: "cordon/restore-is-final", Rule: "A node is not given back before it is on record that it has settled.",
			File: stepFile, Old: "if b.r.Status.SettledSince.IsZero() {\n\t\treturn\n\t}\n", New: "",
			Test: "TestAStep/Back restores nothing before it is on record that the node has settled",
		},
		{
			Name: "cordon/stray", Rule: "A cordon of ours without a reboot under way is found.",
			File: planFile, Old: `if (node.CordonMark != "" || node.GrantUID != "") && `, New: `if node.GrantUID != "" && `,
			Test: "TestAStray",
		},
		{
			Name: "cordon/stray-is-looked-up", Rule: "It is not removed if the API server knows of such a reboot.",
			File: applyFile, Old: `if live != nil && reboot.Phase(live.Status.Phase).Active() {`, New: `if live != nil && false {`,
			Test: "TestAStrayIsRestoredIfTheAPIServerAgrees/it is under way after all",
		},
		{
			Name: "cordon/finalizer", Rule: "A NodeReboot that is deleted stays until its node is given back.",
			File: stepFile, Old: `b.next.Finalizer = b.r.Status.Phase.Active()`, New: `b.next.Finalizer = false`,
			Test: "TestADeletedNodeRebootStaysUntilItsNodeIsGivenBack",
		},
		{
			Name: "cordon/finalizer-first", Rule: "The finalizer is on it before the cordon.",
			File: stepFile, Old: `case !b.r.Finalizer:`, New: `case false:`,
			Test: "TestAReboot/with a slot gets its finalizer first",
		},
		{
			Name: "cordon/deleted", Rule: "A NodeReboot that is deleted brings its node back.",
			File: eligibleFile, Old: `case r.Deleting:`, New: `case false:`,
			Test: "TestADeletedNodeRebootStaysUntilItsNodeIsGivenBack",
		},
		{
			Name: "cordon/lifted", Rule: "A node that a person uncordons is not cordoned again.",
			File: stepFile, Old: `case b.node.CordonMark != "" && !b.node.Unschedulable:`, New: `case false:`,
			Test: "TestAStep/Cordoned gives up if somebody uncordons the node",
		},
		{
			Name: "cordon/earlier", Rule: "An attempt does not begin before the cordon of an earlier one is gone.",
			File: stepFile, Old: `if found.reason == "" && (b.node.CordonMark != "" || b.node.GrantUID != "") {`, New: `if false {`,
			Test: "TestAReboot/waits without a slot until an earlier cordon is gone",
		},
	}
}

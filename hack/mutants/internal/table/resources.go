// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// resources is what is published, and how it reads.
func resources() []mutation.Row {
	const (
		status = "pkg/resources/recovery/recovery_status.go"
		node   = "internal/recovery/node.go"
		judge  = "pkg/check/judge.go"
	)

	return []mutation.Row{
		{
			Name: "resources/group", Rule: "The resources have a group of their own.",
			File: status, Old: `"RecoveryStatuses.recovery.talos.dev"`, New: `"RecoveryStatuses.kubernetes.talos.dev"`,
			Test: "TestTheResourcesAreReadableAndPlural",
		},
		{
			Name: "resources/namespace", Rule: "They are in the namespace k8s.",
			File: "pkg/resources/recovery/recovery.go", Old: `NamespaceName = k8s.NamespaceName`, New: `NamespaceName = k8s.ControlPlaneNamespaceName`,
			Test: "TestTheResourcesAreReadableAndPlural",
		},
		{
			Name: "resources/readable", Rule: "They can be read with os:reader.",
			File: status, Old: "SkipAutomaticAliases: true,", New: "SkipAutomaticAliases: true, Sensitivity: meta.Sensitive,",
			Test: "TestTheResourcesAreReadableAndPlural",
		},
		{
			Name: "resources/id", Rule: "The status has the id recovery.",
			File: status, Old: `resource.ID("recovery")`, New: `resource.ID("status")`,
			Test: "TestTheResourcesHaveTheirNames",
		},
		{
			Name: "resources/daemonset-id", Rule: "A DaemonSet has the id of its namespace and name.",
			File: "internal/recovery/facts.go", Old: `return p.Namespace + "/" + p.Owner.Name`, New: `return p.Owner.Name + "/" + p.Namespace`,
			Test: "TestTwoDaemonSetsOfOneNameAreTwo",
		},
		{
			Name: "resources/two-groups", Rule: "DaemonSets of two groups are two.",
			File: "internal/recovery/facts.go", Old: `if p.Owner.Group == GroupApps {`, New: `if true {`,
			Test: "TestTwoDaemonSetsOfOneNameAreTwo",
		},
		{
			Name: "phase/disabled", Rule: "A machine that does not join Kubernetes is disabled.",
			File: node, Old: "case ObstacleDisabled:\n\t\tstatus.Phase = specs.PhaseDisabled", New: "case ObstacleDisabled:",
			Test: "TestTheGateIsClosedWhile/the machine does not register a node",
		},
		{
			Name: "phase/degraded", Rule: "A DaemonSet that is stuck makes the node degraded.",
			File: node, Old: `case len(stuck) > 0:`, New: `case false:`,
			Test: "TestADaemonSetWithAFailedPod/whose delete was refused is blocked with the server's words and tried again later",
		},
		{
			Name: "phase/recovering", Rule: "A node is not recovered while a DaemonSet is not.",
			File: node, Old: `case len(open) > 0:`, New: `case false:`,
			Test: "TestADaemonSetAndItsReplacement/with a replacement that is not Ready is replacing and says why",
		},
		{
			Name: "phase/settles", Rule: "A node is recovered once nothing has failed for the settle time.",
			File: node, Old: `case p.now.Before(settledAt):`, New: `case false:`,
			Test: "TestADaemonSetAndItsReplacement/with a Ready replacement is recovered, and the node a settle time later",
		},
		{
			Name: "phase/settles-since-the-last", Rule: "The settle time begins with the last recovery.",
			File: node, Old: `if rec.FinishedAt.After(quietSince) {`, New: `if false {`,
			Test: "TestADaemonSetAndItsReplacement/with a Ready replacement is recovered, and the node a settle time later",
		},
		{
			Name: "phase/pods-are-listed", Rule: "A node is not recovered before its pods were listed.",
			File: "internal/recovery/plan.go", Old: `case facts.Link.SyncedAt.IsZero():`, New: `case false:`,
			Test: "TestTheNodeWaitsForTheListOfItsPods",
		},
		{
			Name: "phase/daemonsets-first", Rule: "Whoever sees the node recovered finds no DaemonSet that is not.",
			File: "pkg/controllers/recovery/publish.go", Old: `	for id, spec := range decision.DaemonSets {`,
			New: "\tif err := safe.WriterModify(ctx, p.r, recoveryres.NewRecoveryStatus(), func(res *recoveryres.RecoveryStatus) error {\n" +
				"\t\t*res.TypedSpec() = decision.Status\n\n\t\treturn nil\n\t}); err != nil {\n\t\treturn err\n\t}\n\n\tfor id, spec := range decision.DaemonSets {",
			Test: "TestTheNodeIsNotRecoveredBeforeItsDaemonSetsAre",
		},
		{
			Name: "phase/check-waits", Rule: "A health check waits for recovered.",
			File: judge, Old: `case specs.PhaseWaiting, specs.PhaseRecovering:`, New: `case specs.PhaseWaiting:`,
			Test: "TestJudgeANode/whose pods are being replaced",
		},
		{
			Name: "phase/check-fails", Rule: "A health check does not pass on degraded.",
			File: judge, Old: "case specs.PhaseDegraded:\n\t\treturn StatusFailing", New: "case specs.PhaseDegraded:\n\t\treturn StatusPassed",
			Test: "TestJudgeANode/with a pod that is stuck",
		},
		{
			Name: "phase/not-found-is-pending", Rule: "NotFound means pending: after a boot there is no status.",
			File: judge, Old: "case OutcomeNotFound:\n\t\treturn StatusWaiting", New: "case OutcomeNotFound:\n\t\treturn StatusPassed",
			Test: "TestJudgeANode/that has just booted",
		},
		{
			Name: "message/culprit", Rule: "The message names what is missing.",
			File: node, Old: `return fmt.Sprintf("%s: waiting for the replacement of %s", id, rec.FailedPod)`, New: `return fmt.Sprintf("waiting for %d", len(id+rec.FailedPod))`,
			Test: "TestADaemonSetWithAFailedPod/whose pod vanished while the delete was not yet due is replacing",
		},
		{
			Name: "message/one-line", Rule: "It names three and counts the rest.",
			File: "internal/recovery/limits.go", Old: `namedInMessage = 3`, New: `namedInMessage = 5`,
			Test: "TestTheMessageNamesTheFirstThreeAndCountsTheRest",
		},
		{
			Name: "counts/deleted", Rule: "The counts have the deletes.",
			File: node, Old: `c.Deleted += rec.Deleted`, New: `c.Deleted += rec.Attempts`,
			Folder: "pkg/controllers/recovery", Test: "TestAPodThatSomebodyElseDeletesFirstIsNoFailure",
		},
		{
			Name: "counts/skipped", Rule: "What is left alone is not among what was found.",
			File: node, Old: "c.Skipped++\n\n\t\t\tcontinue", New: "c.Skipped++",
			Test: "TestTheCountsSumUpTheDaemonSets",
		},
		{
			Name: "counts/exhausted", Rule: "The counts have what is exhausted.",
			File: node, Old: `c.Exhausted++`, New: `c.Blocked++`,
			Test: "TestTheCountsSumUpTheDaemonSets",
		},
	}
}

// memory is that the state lives in the resources.
func memory() []mutation.Row {
	const (
		read = "pkg/controllers/recovery/read.go"
		plan = "internal/recovery/plan.go"
	)

	return []mutation.Row{
		{
			Name: "memory/status", Rule: "A controller that is restarted picks up the status.",
			File: read, Old: `status = *published.TypedSpec()`, New: `_ = published`,
			Test: "TestARestartOfTheControllerNeitherRepeatsNorForgets",
		},
		{
			Name: "memory/daemonsets", Rule: "It picks up the counts of every DaemonSet.",
			File: read, Old: `daemonSets[item.Metadata().ID()] = *item.TypedSpec()`, New: `_ = item`,
			Test: "TestARestartDuringADeleteCountsItOnce",
		},
		{
			Name: "memory/outcomes", Rule: "The answer to a delete is not lost with its session.",
			File: "pkg/controllers/recovery/controller.go", Old: `p.outcomes = append(p.outcomes, p.session.stop()...)`, New: `p.session.stop()`,
			Test: "TestADeleteThatEndsWithItsSessionIsCounted",
		},
		{
			Name: "memory/outcomes-once", Rule: "The answer to a delete counts once.",
			File: "pkg/controllers/recovery/publish.go", Old: "return outcome.DaemonSet == id })", New: "return false && outcome.DaemonSet == id })",
			Test: "TestADeleteIsCountedOnceThoughItCannotBePublishedAtFirst",
		},
		{
			Name: "memory/boot", Rule: "Another boot begins with nothing.",
			File: plan, Old: `differ(was.BootID, p.facts.Boot.ID) || `, New: ``,
			Test: "TestANodeIsLookedAtAgain/when its boot id has changed",
		},
		{
			Name: "memory/name", Rule: "Another name of the node does too.",
			File: plan, Old: ` || differ(was.NodeName, p.facts.Gate.NodeName)`, New: ``,
			Test: "TestAnotherNodeNameForgetsWhatWasDone",
		},
		{
			Name: "memory/unknown-name", Rule: "A name that is unknown for a moment forgets nothing.",
			File: plan, Old: `return was != "" && is != "" && was != is`, New: `return was != "" && was != is`,
			Test: "TestALostNodeNameForgetsNothing",
		},
		{
			Name: "memory/kubelet", Rule: "A kubelet that starts again is looked at again.",
			File: plan, Old: `return p.facts.Status.KubeletStart == p.facts.Gate.KubeletStart`, New: `return true`,
			Test: "TestANodeIsLookedAtAgain/when its kubelet has been restarted",
		},
		{
			Name: "memory/removed", Rule: "What nothing is remembered of is removed.",
			File: "pkg/controllers/recovery/publish.go", Old: `for id := range was.DaemonSets {`, New: `for id := range map[string]bool{} {`,
			Test: "TestWhatIsLeftAloneIsForgottenWhenItIsGone",
		},
		{
			Name: "still/finished", Rule: "Since when something is over does not change with every pass.",
			File: daemonSet, Old: `if rec.FinishedAt.Before(p.startedAt) {`, New: `if true {`,
			Test: "TestADaemonSetAndItsReplacement/that stayed recovered for the settle time makes the node recovered",
		},
		{
			Name: "still/deleted", Rule: "Neither does when a pod was deleted.",
			File: "internal/recovery/follow.go", Old: `if rec.DeletedAt.IsZero() || hadOne`, New: `if true || hadOne`,
			Test: "TestARecordIsUnchangedByAPassThatFindsNothingNew",
		},
		{
			Name: "still/booted", Rule: "Neither does the time of boot, which is read a little later each time.",
			File: "internal/recovery/clock.go", Old: `!was.IsZero() && step.Abs() >= clockTolerance {`, New: `!was.IsZero() && step != 0 {`,
			Test: "TestTheClockThatIsReadALittleLaterIsNoNews",
		},
		{
			Name: "still/recovered", Rule: "Neither does the status of a node that has recovered.",
			File: plan, Old: `case p.hasFinished() && !p.hasComeBack(records):`, New: `case false:`,
			Test: "TestANodeThatRecoveredNeedsNoConnection",
		},
		{
			Name: "still/problem", Rule: "Neither do the words for a problem that stays.",
			File: "internal/kube/errors.go", Old: `text = part.pattern.ReplaceAllString(text, part.stable)`, New: `_ = part`,
			Test: "TestDescribeGivesOneLineThatStaysTheSame",
		},
	}
}

// events are those of Kubernetes.
func events() []mutation.Row {
	const (
		event  = "internal/kube/event.go"
		remove = "pkg/controllers/recovery/delete.go"
	)

	return []mutation.Row{
		{
			Name: "events/one-per-delete", Rule: "Every delete leaves an event.",
			File: remove, Old: `if err := s.recordDeletion(connection, pod, verdict.Reason); err != nil {`, New: `if err := error(nil); err != nil {`,
			Test: "TestALeftoverIsDeletedAndFollowedUntilItsReplacementIsReady",
		},
		{
			Name: "events/of-ours-only", Rule: "A delete that somebody else has done leaves none.",
			File: remove, Old: "if result == recovery.ResultDeleted {\n\t\t\t// The pod", New: "if result != recovery.ResultFailed {\n\t\t\t// The pod",
			Test: "TestAPodThatSomebodyElseDeletesFirstIsNoFailure",
		},
		{
			Name: "events/on-the-daemonset", Rule: "The event is on the pod's DaemonSet.",
			File: event, Old: `Kind:       pod.Owner.Kind,`, New: `Kind:       "Pod",`,
			Test: "TestRecordDeletionLeavesAnEventOnTheOwner/that is a DaemonSet",
		},
		{
			Name: "events/visible", Rule: "It is in the namespace of the pod, where kubectl get events shows it.",
			File: event, Old: `c.core.Events(pod.Namespace).Create`, New: `c.core.Events("default").Create`,
			Test: "TestRecordDeletionLeavesAnEventOnTheOwner/that is a DaemonSet",
		},
		{
			Name: "events/component", Rule: "It says that rebound did it.",
			File: event, Old: `EventComponent = "rebound"`, New: `EventComponent = "kubelet"`,
			Test: "TestRecordDeletionLeavesAnEventOnTheOwner/that is a DaemonSet",
		},
		{
			Name: "events/reason", Rule: "It says why.",
			File: event, Old: `pod.Name, pod.NodeName, reason),`, New: `pod.Name, pod.NodeName, reason[:0]),`,
			Test: "TestRecordDeletionLeavesAnEventOnTheOwner/that is a DaemonSet",
		},
	}
}

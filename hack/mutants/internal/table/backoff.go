// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

const (
	clearFile     = "internal/kubebackoff/clear.go"
	resetFile     = "internal/kubebackoff/reset.go"
	restartFile   = "internal/kubebackoff/restart.go"
	backoffRead   = "internal/kubebackoff/read.go"
	backoffDelete = "internal/kubebackoff/delete.go"
	backoffCLI    = "internal/cli/backoff_restart.go"
	containerFile = "internal/cli/talos_container.go"
)

// clearing is that rebound backoff clear is as careful as a node, and no loop.
func clearing() []mutation.Row {
	return []mutation.Row{
		{
			Name: "clear/once", Rule: "Of what a kubelet rejects, one pod per DaemonSet and node is deleted in a run.",
			File: clearFile, Old: `c.rejected[pod.DaemonSetID()] = true`, New: ``,
			Test: "TestClearDeletesOneRejectedPodInARun",
		},
		{
			Name: "clear/every-pod-once", Rule: "No pod is deleted twice in a run, whatever the answer was.",
			File: clearFile, Old: `c.pods = slices.DeleteFunc(c.pods, func(other recovery.Pod) bool { return other.UID == pod.UID })`, New: `outcome.Result = recovery.ResultAbandoned`,
			Test: "TestClearTriesEveryPodOnce/not this time",
		},
		{
			Name: "clear/posting", Rule: "Nothing is deleted on a node whose kubelet is missed.",
			File: clearFile, Old: `KubeletRunning: node.Posting, KubeletHealthy: node.Posting`, New: `KubeletRunning: true, KubeletHealthy: true`,
			Test: "TestClearLeavesANodeAloneThatMayBeGoingDown/it is missed",
		},
		{
			Name: "clear/registered", Rule: "Nothing is deleted on a node that has never registered.",
			File: clearFile, Old: `recovery.Boot{ID: node.BootID}`, New: `recovery.Boot{ID: "boot"}`,
			Test: "TestClearLeavesANodeAloneThatMayBeGoingDown/it has never registered",
		},
		{
			Name: "clear/what-the-node-says", Rule: "Nothing is deleted on a node that is shutting down.",
			File: clearFile, Old: `recovery.Link{Node: node.Node,`, New: `recovery.Link{Node: recovery.Node{BootID: node.BootID, ReportedAt: node.ReportedAt},`,
			Test: "TestClearLeavesANodeAloneThatMayBeGoingDown/it is shutting down",
		},
		{
			Name: "clear/future", Rule: "A pod that has started in the future of this machine's clock is not taken for one of before the boot.",
			File: clearFile, Old: `now = later(later(now, pod.Created), pod.Started)`, New: `_ = pod`,
			Test: "TestClearHoldsAPodOfTheFuture",
		},
		{
			Name: "clear/lease-lag", Rule: "The renewal of a Lease says nothing about the seconds before it.",
			File: backoffRead, Old: `renewed.Add(-leaseLag)`, New: `renewed`,
			Test: "TestNodeHasReportedWhenItsLeaseSaysSo",
		},
		{
			Name: "clear/unknown", Rule: "A Node that is Unknown is one whose kubelet is missed.",
			File: backoffRead, Old: `condition.Status == corev1.ConditionTrue || condition.Status == corev1.ConditionFalse`, New: `true`,
			Test: "TestNodeHasReportedWhenItsLeaseSaysSo",
		},
		{
			Name: "clear/uid", Rule: "A delete has the UID of the pod that was seen.",
			File: backoffDelete, Old: `Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})`, New: `Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: new(string(uid))}})`,
			Test: "TestClearDeletesThePodThatWasSeen",
		},
		{
			Name: "clear/dry-run", Rule: "A dry run deletes nothing.",
			File: clearFile, Old: `if !dryRun {`, New: `if true {`,
			Test: "TestClearDeletesThePodThatWasSeen",
		},
	}
}

// resetting is that rebound backoff reset leaves the DaemonSet as it was.
func resetting() []mutation.Row {
	return []mutation.Row{
		{
			Name: "reset/restores", Rule: "The value is restored.",
			File: resetFile, Old: `restored, err := c.setLimit(ctx, raised, change.Raised, change.Limit)`, New: `restored, err := raised, error(nil)`,
			Test: "TestResetRaisesTheGenerationAndRestoresTheValue",
		},
		{
			Name: "reset/to-the-end", Rule: "What was begun is brought to its end after Ctrl-C.",
			File: resetFile, Old: `ctx = context.WithoutCancel(ctx)`, New: ``,
			Test: "TestResetRestoresWhateverHappens",
		},
		{
			Name: "reset/not-begun", Rule: "After Ctrl-C nothing is begun.",
			File: resetFile, Old: "if ctx.Err() != nil {\n\t\treturn nil, context.Cause(ctx)\n\t}\n\n\t// What", New: "// What",
			Test: "TestResetRestoresWhateverHappens",
		},
		{
			Name: "reset/tries-again", Rule: "A restore that the API server did not answer is tried again.",
			File: resetFile, Old: `if err == nil || isAnswer(err) || ctx.Err() != nil {`, New: `if true {`,
			Test: "TestResetRestoresWhateverHappens",
		},
		{
			Name: "reset/version", Rule: "Nothing is written over what came meanwhile.",
			File: resetFile, Old: `"resourceVersion": daemonSet.ResourceVersion, "uid"`, New: `"uid"`,
			Test: "TestResetRaisesTheGenerationAndRestoresTheValue",
		},
		{
			Name: "reset/others", Rule: "What somebody else has set stays.",
			File: resetFile, Old: `case limit == nil || *limit != from:`, New: `case limit == nil:`,
			Test: "TestResetWritesOverNothing",
		},
		{
			Name: "reset/replaced", Rule: "A DaemonSet that was created again is left alone.",
			File: resetFile, Old: `case current.UID != uid:`, New: `case uid == "":`,
			Test: "TestResetWritesOverNothing",
		},
		{
			Name: "reset/deleting", Rule: "A DaemonSet that is being deleted is left alone.",
			File: resetFile, Old: `case daemonSet.DeletionTimestamp != nil:`, New: `case false:`,
			Test: "TestPlanResetRaisesTheLimit",
		},
	}
}

// restarting is that the control plane keeps a kube-controller-manager.
func restarting() []mutation.Row {
	return []mutation.Row{
		{
			Name: "restart/another", Rule: "There is another one to take over.",
			File: restartFile, Old: `return replica.Node != node && replica.canLead()`, New: `return true`,
			Test: "TestPlanRestart/alone",
		},
		{
			Name: "restart/others-going-down", Rule: "One on a node that is shutting down takes nothing over.",
			File: restartFile, Old: `return replica.NodeReady && !replica.ShuttingDown && replica.Running`, New: `return replica.NodeReady && replica.Running`,
			Test: "TestPlanRestart/the others are shutting down",
		},
		{
			Name: "restart/shutting-down", Rule: "Nothing is restarted on a node that is shutting down.",
			File: restartFile, Old: `case target.ShuttingDown:`, New: `case false:`,
			Test: "TestPlanRestart/a node that is shutting down",
		},
		{
			Name: "restart/not-ready", Rule: "Nothing is restarted on a node that is not Ready.",
			File: restartFile, Old: `case !target.NodeReady:`, New: `case false:`,
			Test: "TestPlanRestart/a node that is not Ready",
		},
		{
			Name: "restart/not-running", Rule: "One that does not run is not restarted.",
			File: restartFile, Old: `case !target.Running:`, New: `case false:`,
			Test: "TestPlanRestart/one that does not run",
		},
		{
			Name: "restart/leads", Rule: "One that does not lead is not restarted.",
			File: restartFile, Old: `case leads[0] != node:`, New: `case false:`,
			Test: "TestPlanRestart/one that does not lead",
		},
		{
			Name: "restart/lease", Rule: "Without a leader nothing is restarted.",
			File: restartFile, Old: `case !now.Before(leader.Until):`, New: `case false:`,
			Test: "TestPlanRestart/a Lease that has run out",
		},
		{
			Name: "restart/stage", Rule: "Nothing is restarted on a machine that does not run.",
			File: containerFile, Old: `stage != runtime.MachineStageRunning {`, New: `stage == runtime.MachineStageUnknown {`,
			Test: "TestRestartRefuses/a machine that reboots",
		},
		{
			Name: "restart/container", Rule: "It is the running container that is restarted.",
			File: containerFile, Old: ` && container.GetStatus() == containerRunning`, New: ``,
			Test: "TestRestartRefuses/a container that has ended",
		},
		{
			Name: "restart/asks", Rule: "Nothing is restarted unless somebody has agreed.",
			File: backoffCLI, Old: `if !agreed {`, New: `if !agreed && false {`,
			Test: "TestRestartIsAskedFor/no",
		},
		{
			Name: "restart/nobody-to-ask", Rule: "Nothing is restarted where nobody can be asked.",
			File: backoffCLI, Old: `case !options.DryRun && !options.Yes && !options.Interactive:`, New: `case false:`,
			Test: "TestRestartRefuses/nobody to be asked",
		},
		{
			Name: "restart/looks-again", Rule: "What was found is looked at again after the answer.",
			File: backoffCLI, Old: "// Somebody may have taken their time.\n\t\tif err = restart.plan(ctx); err != nil {", New: "if err != nil {",
			Test: "TestRestartLooksAgainAfterTheAnswer",
		},
	}
}

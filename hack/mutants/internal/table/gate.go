// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// localGate is what Talos must say before anything is done.
func localGate() []mutation.Row {
	const (
		gate       = "internal/recovery/gate.go"
		read       = "pkg/controllers/recovery/read.go"
		controller = "pkg/controllers/recovery/controller.go"
		remove     = "pkg/controllers/recovery/delete.go"
	)

	return []mutation.Row{
		{
			Name: "gate/kubelet-runs", Rule: "The kubelet service exists and runs.",
			File: gate, Old: `case !gate.KubeletRunning:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the kubelet does not run",
		},
		{
			Name: "gate/kubelet-healthy", Rule: "The kubelet service is healthy.",
			File: gate, Old: `case !gate.KubeletHealthy:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the kubelet is not healthy",
		},
		{
			Name: "gate/kubelet-health-is-read", Rule: "The health of the kubelet is that of its service.",
			File: read, Old: `gate.KubeletHealthy = service.TypedSpec().Healthy`, New: `gate.KubeletHealthy = true`,
			Test: "TestNothingIsAskedOfTheAPIServerBeforeTheKubeletIsHealthy",
		},
		{
			Name: "gate/lifecycle", Rule: "The kubelet's lifecycle exists.",
			File: gate, Old: `case !gate.LifecyclePresent:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the kubelet has no lifecycle",
		},
		{
			Name: "gate/teardown", Rule: "The kubelet's lifecycle is not tearing down.",
			File: gate, Old: `case gate.LifecycleTearingDown:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/a shutdown has begun, though the kubelet is still healthy",
		},
		{
			Name: "gate/teardown-is-read", Rule: "A lifecycle that tears down is seen.",
			File: read, Old: `lifecycle.Metadata().Phase() == resource.PhaseTearingDown`, New: `false && lifecycle != nil`,
			Test: "TestAShutdownStopsADeleteUnderWayAtOnce",
		},
		{
			Name: "gate/teardown-ends-requests", Rule: "A shutdown ends the requests that are under way.",
			File: controller,
			Old:  "case !decision.Connect:\n\t\tp.endSession()", New: "case !decision.Connect:",
			Test: "TestAShutdownStopsADeleteUnderWayAtOnce",
		},
		{
			Name: "gate/stage", Rule: "The machine is booting or running.",
			File: gate, Old: `case !gate.InService:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the machine is rebooting",
		},
		{
			Name: "gate/stage-is-read", Rule: "No other stage counts as booting or running.",
			File: read, Old: `gate.InService = stage == runtime.MachineStageBooting ||`, New: `gate.InService = true ||`,
			Test: "TestAMachineThatDoesNotDoItsWorkIsLeftAlone",
		},
		{
			Name: "gate/booting-is-enough", Rule: "A machine that still boots is not waited for: an extension may never come up.",
			File: read, Old: `stage == runtime.MachineStageBooting || `, New: ``,
			Test: "TestALeftoverIsDeletedAndFollowedUntilItsReplacementIsReady",
		},
		{
			Name: "gate/nodename", Rule: "The node has a name.",
			File: gate, Old: `case gate.NodeName == "":`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the node has no name yet",
		},
		{
			Name: "gate/registers", Rule: "A machine that does not register a node is disabled.",
			File: gate, Old: `case gate.SkipNodeRegistration:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the machine does not register a node",
		},
		{
			Name: "gate/registration-is-read", Rule: "That a machine does not register is seen.",
			File: read, Old: `gate.SkipNodeRegistration = nodename.TypedSpec().SkipNodeRegistration`, New: `gate.SkipNodeRegistration = false`,
			Test: "TestAMachineThatDoesNotRegisterIsDisabled",
		},
		{
			Name: "gate/kubernetes", Rule: "A machine without Kubernetes is disabled.",
			File: gate, Old: `case gate.Booted && gate.NodeName == "" && !gate.KubeletRunning:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the machine has booted without a name and without a kubelet",
		},
		{
			Name: "gate/lost-name", Rule: "A node that loses its name for a moment is no machine without Kubernetes.",
			File: "internal/recovery/plan.go", Old: `p.facts.Gate.Booted = false`, New: `_ = p.facts.Gate.Booted`,
			Test: "TestTheGateIsClosedWhile/the machine has booted and loses its name while its kubelet is being restarted",
		},
		{
			Name: "gate/boot-id", Rule: "The id of this boot is known.",
			File: gate, Old: `case boot.ID == "":`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the boot id is empty, even if the node's is as well",
		},
		{
			Name: "gate/boot-is-told", Rule: "A boot whose id or time cannot be read is waited for, in words that say why.",
			File: gate, Old: `case boot.Error != "":`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the boot id cannot be read",
		},
		{
			Name: "gate/boot-is-read-again", Rule: "What cannot be read of the boot is read again.",
			File: "internal/recovery/plan.go", Old: `p.wakeAt(p.now.Add(bootRetryTime))`, New: `_ = bootRetryTime`,
			Test: "TestTheGateIsClosedWhile/the boot id cannot be read",
		},
		{
			Name: "gate/quiet-before", Rule: "Nothing is asked of the API server while Talos has something against it.",
			File: "internal/recovery/plan.go", Old: `p.local == ObstacleNone && found != ObstacleMachined,`, New: `found != ObstacleMachined,`,
			Test: "TestTheGateIsClosedWhile/the kubelet is not healthy",
		},
		{
			Name: "gate/asked-before-every-delete", Rule: "What Talos says is looked at again before every delete.",
			File: remove, Old: `if !s.mayDelete(ctx) {`, New: `if false {`,
			Test: "TestTheMachineIsLookedAtOnceMoreBeforeEveryTry/when its kubelet stops",
		},
		{
			Name: "gate/unreadable-is-closed", Rule: "A gate that cannot be read is closed.",
			File: controller,
			Old:  "if err != nil {\n\t\treturn false\n\t}", New: "if err != nil {\n\t\treturn true\n\t}",
			Test: "TestTheMachineIsLookedAtOnceMoreBeforeEveryTry/when it cannot be read",
		},
	}
}

// nodeGate is what the API server must say before anything is deleted.
func nodeGate() []mutation.Row {
	const (
		gate    = "internal/recovery/gate.go"
		remove  = "pkg/controllers/recovery/delete.go"
		session = "pkg/controllers/recovery/session.go"
	)

	return []mutation.Row{
		{
			Name: "gate/kubeconfig", Rule: "The kubeconfig loads and the API server can be used with it.",
			File: gate, Old: `if f.Link.Error != "" {`, New: `if false {`,
			Test: "TestTheGateIsClosedWhile/the API server cannot be reached",
		},
		{
			Name: "gate/kubeconfig-is-named", Rule: "A kubeconfig that does not load is told.",
			File: session, Old: `s.fail(kube.Describe(err))`, New: `_ = kube.Describe(err)`,
			Test: "TestWhatIsWrongWithTheAPIServerIsNamedOnceAndWaitedFor/the kubeconfig cannot be loaded",
		},
		{
			Name: "gate/node-is-read", Rule: "The Node has been read.",
			File: gate, Old: `case node.BootID == "":`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the node object was not read yet",
		},
		{
			Name: "gate/registered", Rule: "The kubelet has registered in this boot.",
			File: gate, Old: `case node.BootID != boot.ID:`, New: `case false:`,
			Test: "TestTheGateIsClosedWhile/the node object is that of the boot before",
		},
		{
			Name: "gate/registered-before-the-watch", Rule: "No pods are read of a node that has not registered in this boot.",
			File: session, Old: `obstacle == recovery.ObstacleNone {`, New: `obstacle != recovery.ObstacleNodeUnread {`,
			Test: "TestTheKubeletHasToRegisterInThisBootFirst",
		},
		{
			Name: "gate/registered-before-every-delete", Rule: "That the kubelet has registered is looked at again before every delete.",
			File: remove, Old: `case recovery.ObstacleNone:`, New: `case recovery.ObstacleNone, recovery.ObstacleNotRegistered:`,
			Test: "TestTheMachineIsLookedAtOnceMoreBeforeEveryTry/when another machine has registered under its name",
		},
		{
			Name: "gate/node-is-no-pod", Rule: "A Node that is gone is no pod that is gone.",
			File: remove,
			Old:  "connection.interrupt(err)\n\n\t\treturn fmt.Errorf(\"%w: %s\", errGateClosed, kube.Describe(err))", New: "return err",
			Test: "TestANodeObjectThatIsGoneIsNotAPodThatIsGone",
		},
		{
			Name: "gate/not-ready-is-enough", Rule: "Ready is never waited for: the pod that is stuck may be the CNI.",
			File: "internal/kube/node.go", Old: ` && strings.Contains(ready.Message, shuttingDown)`, New: ` || strings.Contains(ready.Message, shuttingDown)`,
			Test: "TestNodeTellsAShutdown/from any other reason not to be Ready",
		},
		{
			Name: "gate/kubelet-shuts-down", Rule: "A kubelet that says that it is shutting down closes the gate.",
			File: gate, Old: `case node.ShuttingDown:`, New: `case false:`,
			Test: "TestAKubeletThatShutsDownClosesTheGate",
		},
		{
			Name: "gate/kubelet-is-asked-before-every-delete", Rule: "Whether the kubelet is shutting down is looked at before every delete.",
			File: remove,
			Old:  "case recovery.ObstacleNone:\n\tcase recovery.ObstacleNodeShutdown:\n\t\ts.update(func() { s.link.Node = node })\n\n\t\treturn errGateClosed",
			New:  "case recovery.ObstacleNone, recovery.ObstacleNodeShutdown:",
			Test: "TestTheKubeletIsAskedBeforeEveryDelete",
		},
		{
			Name: "gate/cancelled-shutdown", Rule: "A shutdown that is cancelled opens the gate again.",
			File: "internal/recovery/plan.go", Old: "case ObstacleNodeShutdown:\n\t\t\tp.lookAtNode()", New: "case ObstacleNodeShutdown:",
			Test: "TestAKubeletThatShutsDownClosesTheGate",
		},
		{
			Name: "gate/machined-first", Rule: "An agent does nothing on a node whose machined has rebound.",
			File: gate, Old: `case settings.YieldsToMachined && node.HasMachined:`, New: `case false:`,
			Test: "TestAnAgentGivesWayToMachined",
		},
	}
}

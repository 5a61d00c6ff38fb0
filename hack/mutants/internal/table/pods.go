// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

const (
	classify  = "internal/recovery/classify.go"
	daemonSet = "internal/recovery/daemonset.go"
	kubePod   = "internal/kube/pod.go"
)

// pods is which pods are considered at all.
func pods() []mutation.Row {
	return []mutation.Row{
		{
			Name: "pods/of-this-node", Rule: "The pod is bound to this node.",
			File: classify, Old: `case pod.NodeName != p.facts.Gate.NodeName:`, New: `case false:`,
			Test: "TestAPod/of another node is foreign",
		},
		{
			Name: "pods/of-this-node-are-asked-for", Rule: "Only pods of this node are asked for.",
			File: "internal/kube/watch.go",
			Old:  `fields.OneTermEqualSelector("spec.nodeName", node).String()`, New: `fields.Everything().String()`,
			Test: "TestWatchPodsTellsOfAllPodsAndEveryChange",
		},
		{
			Name: "pods/failed", Rule: "The pod is Failed.",
			File: classify, Old: `case !pod.Failed:`, New: `case false:`,
			Test: "TestAPod/that has not failed is alive",
		},
		{
			Name: "pods/failed-is-a-phase", Rule: "Only the phase Failed counts as that.",
			File: kubePod, Old: `pod.Status.Phase == corev1.PodFailed,`, New: `pod.Status.Phase != corev1.PodRunning,`,
			Test: "TestFactsOfAPod/that has succeeded",
		},
		{
			Name: "pods/not-deleting", Rule: "The pod is not being deleted.",
			File: classify, Old: `if pod.Deleting && class != ClassUnrelated {`, New: `if false {`,
			Test: "TestAPod/that is being deleted already is left alone",
		},
		{
			Name: "pods/deleting-is-read", Rule: "That a pod is being deleted is seen.",
			File: kubePod, Old: `pod.DeletionTimestamp != nil,`, New: `false,`,
			Test: "TestFactsOfAPod/that is being deleted and held by finalizers",
		},
		{
			Name: "pods/owner-kind", Rule: "A DaemonSet controls the pod.",
			File: "internal/recovery/limits.go", Old: `owner.Kind == KindDaemonSet && `, New: ``,
			Test: "TestAPod/of a StatefulSet is foreign",
		},
		{
			Name: "pods/owner-group", Rule: "The DaemonSet is one of a configured group.",
			File: "internal/recovery/limits.go", Old: ` && slices.Contains(settings.OwnerGroups, owner.Group)`, New: ` && !slices.Contains([]string{}, owner.Group)`,
			Test: "TestAPod/of a DaemonSet of an unknown group is foreign",
		},
		{
			Name: "pods/owner-controls", Rule: "An owner that does not control the pod is none.",
			File: kubePod,
			Old:  `if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {`, New: "if len(pod.OwnerReferences) > 0 {\n\t\tref := pod.OwnerReferences[0]\n",
			Test: "TestFactsOfAPod/whose owner does not control it",
		},
		{
			Name: "pods/kruise", Rule: "Without a configuration, OpenKruise's group is one of them.",
			File: "internal/recovery/limits.go", Old: `[]string{GroupApps, GroupKruise},`, New: `[]string{GroupApps},`,
			Test: "TestAPod/of OpenKruise's DaemonSet is looked after",
		},
		{
			Name: "pods/mirror", Rule: "The pod does not mirror a static pod.",
			File: classify, Old: `case pod.Mirror:`, New: `case false:`,
			Test: "TestAPod/that mirrors a static pod is foreign",
		},
		{
			Name: "pods/mirror-is-read", Rule: "A mirror pod is one by its annotation, whatever the value.",
			File: kubePod, Old: `_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]`, New: `ok := pod.Annotations[corev1.MirrorPodAnnotationKey] != ""`,
			Test: "TestFactsOfAPod/that mirrors a static pod without a hash",
		},
		{
			Name: "pods/opt-out", Rule: "The pod has not opted out.",
			File: classify, Old: `case pod.OptedOut:`, New: `case false:`,
			Test: "TestAPod/that opted out is left alone",
		},
		{
			Name: "pods/opt-out-word", Rule: `Only the word "true" opts out.`,
			File: kubePod, Old: `pod.Annotations[recovery.SkipAnnotation] == "true",`, New: `pod.Annotations[recovery.SkipAnnotation] != "",`,
			Test: "TestFactsOfAPod/whose opt-out is another word",
		},
	}
}

// classes is what a pod that is considered is.
func classes() []mutation.Row {
	return []mutation.Row{
		{
			Name: "class/node-shutdown", Rule: "The reason NodeShutdown makes a leftover, in this boot too.",
			File: classify, Old: `{"Terminated", "NodeShutdown", "Shutdown"}`, New: `{"Terminated", "Shutdown"}`,
			Test: "TestAPodShutDownInThisBootIsHeld",
		},
		{
			Name: "class/terminated", Rule: "The reason Terminated makes a leftover.",
			File: classify, Old: `{"Terminated", "NodeShutdown", "Shutdown"}`, New: `{"NodeShutdown", "Shutdown"}`,
			Test: "TestTheReasonOfAFailureTellsWhatAPodIs/Terminated",
		},
		{
			Name: "class/shutdown", Rule: "The reason Shutdown makes a leftover.",
			File: classify, Old: `{"Terminated", "NodeShutdown", "Shutdown"}`, New: `{"Terminated", "NodeShutdown"}`,
			Test: "TestTheReasonOfAFailureTellsWhatAPodIs/Shutdown",
		},
		{
			Name: "class/disruption", Rule: "DisruptionTarget by TerminationByKubelet makes a leftover.",
			File: classify, Old: `case pod.KubeletDisrupted:`, New: `case false:`,
			Test: "TestAPod/disrupted by the kubelet without a reason is a leftover",
		},
		{
			Name: "class/disruption-by-kubelet", Rule: "DisruptionTarget by somebody else does not.",
			File: kubePod, Old: `isTrue(c) && c.Reason == corev1.PodReasonTerminationByKubelet`, New: `isTrue(c)`,
			Test: "TestFactsOfAPod/that was preempted",
		},
		{
			Name: "class/disruption-is-true", Rule: "A DisruptionTarget that is not true does not.",
			File: kubePod, Old: `isTrue(c) && c.Reason == corev1.PodReasonTerminationByKubelet`, New: `c != nil && c.Reason == corev1.PodReasonTerminationByKubelet`,
			Test: "TestFactsOfAPod/that the kubelet did not disrupt after all",
		},
		{
			Name: "class/started-before", Rule: "A start before this boot makes a leftover, whatever the reason.",
			File: classify, Old: `case !p.isFromThisBoot(pod):`, New: `case false:`,
			Test: "TestAPod/that started before the boot is a leftover whatever its reason",
		},
		{
			Name: "class/created-before", Rule: "A pod that never started is judged by its creation.",
			File: "internal/recovery/facts.go", Old: "if p.Started.IsZero() {\n\t\treturn p.Created", New: "if p.Started.IsZero() {\n\t\treturn p.Started",
			Test: "TestAPod/created in this boot that the kubelet never saw is no leftover",
		},
		{
			Name: "class/no-transition-times", Rule: "The times of conditions do not count: the kubelet writes them anew after the boot.",
			File: "internal/recovery/facts.go", Old: "if p.Started.IsZero() {", New: "if !p.DisruptedAt.IsZero() {\n\t\treturn p.DisruptedAt\n\t}\n\n\tif p.Started.IsZero() {",
			Test: "TestAPod/rewritten by the new kubelet keeps its reason and is still a leftover",
		},
		{
			Name: "class/evicted", Rule: "A pod that was evicted in this boot is unrelated, though eviction disrupts as a shutdown does.",
			File: classify, Old: `case slices.Contains(unrelatedReasons, pod.Reason):`, New: `case false:`,
			Test: "TestAPod/evicted in this boot is unrelated, though eviction disrupts like a shutdown",
		},
		{
			Name: "class/admission", Rule: "A reason of the kubelet's admission in this boot makes a rejected pod.",
			File: classify, Old: "case slices.Contains(admissionReasons, pod.Reason),\n\t\tstrings", New: "case strings",
			Test: "TestTheReasonOfAFailureTellsWhatAPodIs/UnexpectedAdmissionError",
		},
		{
			Name: "class/out-of", Rule: "So does one for want of a resource, whatever it is called.",
			File: classify, Old: "strings.HasPrefix(pod.Reason, outOfPrefix),\n\t\t", New: "",
			Test: "TestTheReasonOfAFailureTellsWhatAPodIs/OutOfcpu",
		},
		{
			Name: "class/new-reason", Rule: "So does one that is newer than this code, by its message.",
			File: classify, Old: "strings.HasPrefix(pod.Reason, outOfPrefix),\n\t\tstrings.HasPrefix(pod.Message, rejectedPrefix):", New: "strings.HasPrefix(pod.Reason, outOfPrefix):",
			Test: "TestAPod/rejected for a reason newer than this code is rejected by its message",
		},
		{
			Name: "class/unrelated", Rule: "An unrelated pod is left alone.",
			File: "internal/recovery/decision.go", Old: `v.Class == ClassLeftover || v.Class == ClassRejected }`, New: `v.Class == ClassLeftover || v.Class == ClassRejected || v.Class == ClassUnrelated }`,
			Test: "TestAPod/failed in this boot without a reason is unrelated",
		},
		{
			Name: "class/unrelated-is-recorded", Rule: "Why an unrelated pod is left alone is on record.",
			File: daemonSet, Old: `(v.Class == ClassOptedOut || v.Class == ClassUnrelated)`, New: `(v.Class == ClassOptedOut)`,
			Test: "TestADaemonSetThatIsLeftAlone/with an evicted pod is unrelated and holds nothing up",
		},
		{
			Name: "class/leftover-at-once", Rule: "A leftover is deleted at once.",
			File: daemonSet, Old: `case rec.Attempts-rec.Rejections >= leftoverBurst:`, New: `default:`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/with the eleventh leftover has it deleted at once",
		},
		{
			Name: "class/leftover-rejected-often", Rule: "A leftover is deleted at once however often its DaemonSet's pods were rejected.",
			File: daemonSet, Old: `return !isCounted && p.isFromThisBoot(pod) && rec`, New: `return !isCounted && rec`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/with a leftover is deleted at once however often its pods were rejected",
		},
		{
			Name: "class/shut-down-in-this-boot", Rule: "A pod that was shut down in this boot is held until the kubelet has reported.",
			File: daemonSet, Old: `if v.Class == ClassLeftover && p.isFromThisBoot(v.Pod) {`, New: `if false {`,
			Test: "TestAPodShutDownInThisBootIsHeld",
		},
		{
			Name: "class/held-for-a-time", Rule: "It is not held for ever.",
			File: "internal/recovery/limits.go", Old: `reportTime = 6 * time.Minute`, New: `reportTime = 60 * time.Minute`,
			Test: "TestAPodShutDownInThisBootIsHeld",
		},
	}
}

// limits keep rebound from rebuilding the hot loop that the back-off of Kubernetes is against.
func limits() []mutation.Row {
	return []mutation.Row{
		{
			Name: "limits/delay", Rule: "A pod that is rejected again waits 1, 2, 4, … s.",
			File: daemonSet, Old: `backoff.Delay(rec.Rejections, time.Second, rejectionDelayLimit)`, New: `0*rejectionDelayLimit`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the second time waits a second",
		},
		{
			Name: "limits/delay-doubles", Rule: "The delay doubles.",
			File: "internal/backoff/backoff.go", Old: `d *= 2`, New: `d += first`,
			Folder: "internal/recovery", Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the tenth time waits 256 seconds",
		},
		{
			Name: "limits/delay-limit", Rule: "The longest delay is 256 s.",
			File: "internal/recovery/limits.go", Old: `rejectionDelayLimit = 256 * time.Second`, New: `rejectionDelayLimit = 128 * time.Second`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the tenth time waits 256 seconds",
		},
		{
			Name: "limits/cap", Rule: "After the cap a pod is handed back.",
			File: daemonSet, Old: `rec.Rejections >= p.facts.Settings.RejectionCap`, New: `rec.Rejections > p.facts.Settings.RejectionCap`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the eleventh time is exhausted for good",
		},
		{
			Name: "limits/cap-of-ten", Rule: "Without a configuration the cap is ten.",
			File: "internal/recovery/limits.go", Old: `DefaultRejectionCap = 10`, New: `DefaultRejectionCap = 11`,
			Folder: "pkg/controllers/recovery", Test: "TestAPodThatIsRejectedAgainAndAgainIsHandedBackAndHeals",
		},
		{
			Name: "limits/counted", Rule: "Every rejected pod that is deleted counts.",
			File: daemonSet, Old: "if p.isFromThisBoot(v.Pod) {\n\t\trec.Rejections++\n\t}\n", New: "",
			Folder: "pkg/controllers/recovery", Test: "TestAPodThatIsRejectedAgainAndAgainIsHandedBackAndHeals",
		},
		{
			Name: "limits/counted-for-the-daemonset", Rule: "What was counted for one pod stays for the next one of its DaemonSet.",
			File: daemonSet, Old: "Rejections:         rec.Rejections,\n", New: "",
			Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the second time waits a second",
		},
		{
			Name: "limits/counted-ahead", Rule: "A delete is on record before it is sent.",
			File: "pkg/controllers/recovery/controller.go",
			Old:  `	if err := p.publish(ctx, facts, decision); err != nil {`, New: "\tp.apply(ctx, key, decision)\n\n\tif err := p.publish(ctx, facts, decision); err != nil {",
			Test: "TestNothingIsDeletedThatIsNotOnRecord",
		},
		{
			Name: "limits/counted-once", Rule: "A delete that is tried again counts once.",
			File: daemonSet, Old: `case rec.AttemptedAt.IsZero():`, New: `case true:`,
			Folder: "pkg/controllers/recovery", Test: "TestADeleteThatIsRefusedIsBlockedAndTriedAgain",
		},
		{
			Name: "limits/handed-back", Rule: "A pod that is handed back is not deleted.",
			File: daemonSet, Old: `v.Action = ActionKeep`, New: `v.Action = ActionDelete`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the eleventh time is exhausted for good",
		},
		{
			Name: "limits/exhausted-is-watched", Rule: "A DaemonSet that is exhausted is watched on.",
			File: "internal/recovery/node.go", Old: `case specs.DaemonSetPhaseBlocked, specs.DaemonSetPhaseExhausted:`, New: `case specs.DaemonSetPhaseBlocked:`,
			Folder: "pkg/controllers/recovery", Test: "TestAPodThatIsRejectedAgainAndAgainIsHandedBackAndHeals",
		},
		{
			Name: "limits/exhausted-heals", Rule: "It recovers when the DaemonSet controller gets a pod through.",
			File: daemonSet, Old: `if ready == nil || !ready.Pod.Ready {`, New: `if true {`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/rejected for the eleventh time is recovered beside a Ready pod, as maxSurge gives it",
		},
		{
			Name: "limits/one-at-a-time", Rule: "One pod of a DaemonSet is deleted at a time.",
			File: daemonSet, Old: `putOff(pods, subject)`, New: `_ = subject`,
			Test: "TestTheSecondFailedPodWaitsForItsTurn",
		},
		{
			Name: "limits/leftovers", Rule: "Any number of leftovers is deleted at a bounded rate.",
			File: daemonSet, Old: `case rec.Attempts-rec.Rejections >= leftoverBurst:`, New: `case false:`,
			Test: "TestADaemonSetThatFailsAgainAndAgain/with the hundred and first leftover has it deleted a second after the one before",
		},
		{
			Name: "limits/parallel", Rule: "A few pods are deleted at a time.",
			File: "pkg/controllers/recovery/delete.go", Old: `parallelDeletes = 4`, New: `parallelDeletes = 5`,
			Test: "TestNoMoreThanFourPodsAreDeletedAtATime",
		},
	}
}

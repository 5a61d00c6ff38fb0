// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// following is what happens between a delete and the replacement.
func following() []mutation.Row {
	const (
		follow = "internal/recovery/follow.go"
		plan   = "internal/recovery/plan.go"
		limits = "internal/recovery/limits.go"
	)

	return []mutation.Row{
		{
			Name: "follow/ready", Rule: "Only a new pod that is Ready makes it recovered.",
			File: follow, Old: `case replacement.Pod.Ready:`, New: `case true:`,
			Test: "TestADaemonSetAndItsReplacement/with a replacement that is not Ready is replacing and says why",
		},
		{
			Name: "follow/owner", Rule: "The new pod is one of the same owner, or of one that has taken its place.",
			File: follow, Old: "(pod.Owner.UID == rec.UID || !pod.Created.Before(rec.FailedPodCreatedAt))", New: "true",
			Test: "TestADaemonSetAndItsReplacement/whose only living pod is that of an older DaemonSet of its name has no replacement",
		},
		{
			Name: "follow/created-again", Rule: "The pod of a DaemonSet that was deleted and created again counts.",
			File: follow, Old: " || !pod.Created.Before(rec.FailedPodCreatedAt))", New: ")",
			Test: "TestADaemonSetAndItsReplacement/that was deleted and created again has the new one's pod for a replacement",
		},
		{
			Name: "follow/not-deleting", Rule: "A pod that is being deleted is no replacement.",
			File: follow, Old: `class == ClassAlive && !pod.Deleting &&`, New: `class == ClassAlive &&`,
			Test: "TestADaemonSetAndItsReplacement/whose only living pod is being deleted has no replacement",
		},
		{
			Name: "follow/vanishes", Rule: "A replacement that vanishes is waited for anew.",
			File: follow, Old: ` || hadOne && replacement == nil {`, New: ` || hadOne && false {`,
			Test: "TestADaemonSetAndItsReplacement/whose replacement vanishes before the node has recovered is replacing again",
		},
		{
			Name: "follow/missed", Rule: "After two minutes the message says what may be wrong.",
			File: limits, Old: `missedAfter = 2 * time.Minute`, New: `missedAfter = 4 * time.Minute`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement after two minutes says where to look if another DaemonSet got a pod since",
		},
		{
			Name: "follow/released", Rule: "No replacement while the controller is alive means that none is wanted here.",
			File: limits, Old: `releaseAfter = 5 * time.Minute`, New: `releaseAfter = 6 * time.Minute`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement after five minutes is released if another DaemonSet got a pod since",
		},
		{
			Name: "follow/sign-of-life", Rule: "Without a sign of life it stays replacing.",
			File: follow, Old: `giveUpAfter := releaseWithoutSignAfter`, New: `giveUpAfter := releaseAfter`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement after two minutes waits on if nothing shows that the controller lives",
		},
		{
			Name: "follow/sign-since-the-delete", Rule: "A pod from before the delete is no sign of life.",
			File: follow, Old: ` && !pod.Created.Before(since) {`, New: ` && !since.IsZero() {`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement after two minutes waits on if nothing shows that the controller lives",
		},
		{
			Name: "follow/sign-in-the-same-second", Rule: "A pod of the same second is one: times of creation are whole seconds.",
			File: follow, Old: `rec.DeletedAt.Truncate(time.Second)`, New: `rec.DeletedAt.Truncate(time.Nanosecond)`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement after five minutes is released if another got one in the second of the delete",
		},
		{
			Name: "follow/sign-of-the-same-controller", Rule: "A pod of another group's controller is no sign of life.",
			File: follow, Old: `pod.Owner.Group == rec.APIGroup && `, New: ``,
			Test: "TestADaemonSetAndItsReplacement/without a replacement waits on if only the DaemonSet controller of another group lives",
		},
		{
			Name: "follow/asks-for-the-controller", Rule: "The message asks whether kube-controller-manager is running.",
			File: "internal/recovery/node.go", Old: `: is kube-controller-manager running?`, New: ``,
			Folder: "pkg/controllers/recovery", Test: "TestAControllerManagerThatIsAwayIsNotMistakenForARelease",
		},
		{
			Name: "follow/released-all-the-same", Rule: "After fifteen minutes it is released all the same.",
			File: limits, Old: `releaseWithoutSignAfter = 15 * time.Minute`, New: `releaseWithoutSignAfter = 20 * time.Minute`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement after fifteen minutes is released all the same",
		},
		{
			Name: "follow/outage", Rule: "The time in which the API server was away does not count.",
			File: follow, Old: `if p.facts.Link.SyncedAt.After(rec.DeletedAt) {`, New: `if false {`,
			Test: "TestADaemonSetAndItsReplacement/without a replacement is waited for anew after an outage of the API server",
		},
		{
			Name: "follow/broken-watch", Rule: "Nothing is concluded from a watch that broke.",
			File: "internal/recovery/gate.go", Old: `if f.Link.Error != "" {`, New: `if false {`,
			Test: "TestNothingIsConcludedFromAWatchThatBroke",
		},
		{
			Name: "follow/broken-watch-is-told", Rule: "A watch that broke says why.",
			File: "internal/kube/watch.go", Old: "fail(err)\n\n\treturn ctx.Err()", New: "fail(nil)\n\n\treturn ctx.Err()",
			Test: "TestWatchPodsReturnsWhyARequestFailed",
		},
		{
			Name: "follow/late-pod", Rule: "A pod that comes late is looked after.",
			File: plan, Old: `case p.hasFinished() && !p.hasComeBack(records):`, New: `case p.hasFinished():`,
			Test: "TestWhatDidNotComeBackIsNoticedWhenAPod",
		},
		{
			Name: "follow/late-pod-is-seen", Rule: "What did not come back is watched for.",
			File: plan, Old: "if isReleased(rec) {\n\t\t\treturn true", New: "if isReleased(rec) {\n\t\t\treturn false",
			Folder: "pkg/controllers/recovery", Test: "TestADaemonSetThatDidNotComeBackIsLookedOutFor",
		},
		{
			Name: "follow/history", Rule: "A DaemonSet that was over before the kubelet came holds nothing up.",
			File: daemonSet, Old: `case p.isHistory(rec, pods):`, New: `case false:`,
			Test: "TestWhatWasOverBeforeTheKubeletCameHoldsNothingUp",
		},
	}
}

// clocks is about the times that a decision rests on.
func clocks() []mutation.Row {
	const (
		clock = "internal/recovery/clock.go"
		boot  = "pkg/controllers/recovery/boot.go"
	)

	return []mutation.Row{
		{
			Name: "time/boottime", Rule: "The time of boot is now less CLOCK_BOOTTIME.",
			File: boot, Old: `time.Now().Add(-time.Duration(since.Nano())), nil`, New: `time.Now(), nil`,
			Test: "TestTheBootTimeAgreesWithTheKernelsUptime",
		},
		{
			Name: "time/boottime-is-injected", Rule: "What tells the time of boot is injected.",
			File: boot, Old: `at, err := c.bootTime()`, New: `at, err := BootTime()`,
			Test: "TestTheClockMayBeSetWhileTheNodeSettles/back",
		},
		{
			Name: "time/boot-id-is-injected", Rule: "The path of the boot id is injected.",
			File: boot, Old: `os.ReadFile(c.bootIDPath)`, New: `os.ReadFile(BootIDPath)`,
			Test: "TestALeftoverIsDeletedAndFollowedUntilItsReplacementIsReady",
		},
		{
			Name: "time/now-is-an-argument", Rule: "The decision takes now as an argument.",
			File: "pkg/controllers/recovery/controller.go", Old: `recovery.Plan(facts, p.config.now())`, New: `recovery.Plan(facts, time.Now())`,
			Test: "TestTheClockMayBeSetWhileTheNodeSettles/back",
		},
		{
			Name: "time/steps", Rule: "A clock that is set changes no wait.",
			File: clock, Old: `move(step, &rec.BootedAt, &rec.AttemptedAt, &rec.DeletedAt, &rec.NextAttemptAt, &rec.FinishedAt)`, New: `_ = rec`,
			Test: "TestAWaitIsAsLongAsItWasHoweverTheClockIsSet",
		},
		{
			Name: "time/steps-once", Rule: "Neither does a pass that is cut off when it was set.",
			File: clock, Old: `if step := p.setSince(rec.BootedAt); step != 0 {`, New: `if step := p.setSince(was); step != 0 {`,
			Test: "TestATimeIsMovedOnceThoughNotAllWasPublished",
		},
		{
			Name: "time/earliest-boot", Rule: "A clock that is set makes no leftover of a pod of this boot.",
			File: clock, Old: `return !pod.since().Before(p.leftoversBefore)`, New: `return !pod.since().Before(p.bootedAt)`,
			Test: "TestAPodOfThisBootIsNoLeftoverThoughTheClockWasSet",
		},
		{
			Name: "time/set-back", Rule: "Neither does one that is set back.",
			File: clock, Old: `was.IsZero() || p.bootedAt.Before(was)`, New: `was.IsZero()`,
			Test: "TestAPodOfThisBootIsNoLeftoverThoughTheClockWasSetBack",
		},
		{
			Name: "time/ahead-before", Rule: "A leftover from a clock that was ahead is one all the same.",
			File: clock, Old: `if pod.since().After(p.now) && slices.Contains(shutdownReasons, pod.Reason) {`, New: `if slices.Contains([]string(nil), "") {`,
			Test: "TestLeftoversOfAShutdownAreNotCappedThoughTheClockWasAhead",
		},
		{
			Name: "time/before-the-kubelet", Rule: "The clock before the kubelet came says nothing about pods.",
			File: clock, Old: `if p.facts.Gate.KubeletRunning && !p.facts.Boot.Time.IsZero() {`, New: `if true {`,
			Test: "TestTheClockBeforeTheKubeletCameSaysNothingAboutPods",
		},
		{
			Name: "time/bounded", Rule: "Nothing is put off beyond its own bound.",
			File: daemonSet, Old: `latest := p.now.Add(delay); due.After(latest) {`, New: `latest := p.now.Add(delay); false {`,
			Test: "TestNothingIsPutOffBeyondItsOwnBound",
		},
	}
}

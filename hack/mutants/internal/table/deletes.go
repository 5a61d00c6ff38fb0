// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// deletes is how a delete is sent.
func deletes() []mutation.Row {
	const remove = "pkg/controllers/recovery/delete.go"

	return []mutation.Row{
		{
			Name: "delete/uid", Rule: "A delete carries the UID of the pod that was seen as a precondition.",
			File: "internal/kube/delete.go", Old: `uid := types.UID(pod.UID)`, New: `uid := types.UID("")`,
			Test: "TestDeletePodDeletesWhatWasSeen",
		},
		{
			Name: "delete/once", Rule: "A delete is not sent again without a look at the gate.",
			File: "internal/kube/delete.go", Old: `MaxRetries(0)`, New: `MaxRetries(10)`,
			Test: "TestDeletePodSendsOneRequestEvenIfToldToComeBack",
		},
		{
			Name: "delete/patience", Rule: "The server has the last word on a delete that a webhook holds up.",
			File: "internal/kube/client.go", Old: `deleteTimeout = 40 * time.Second`, New: `deleteTimeout = 30 * time.Second`,
			Test: "TestDeletePodWaitsForTheServersOwnTimeout",
		},
		{
			Name: "delete/under-way", Rule: "A pod whose delete is under way is not deleted again.",
			File: daemonSet, Old: `case p.facts.InFlight[v.Pod.UID]:`, New: `case false:`,
			Test: "TestADaemonSetWithAFailedPod/whose pod is being deleted is not deleted twice",
		},
		{
			Name: "delete/echo", Rule: "A pod that was deleted and can still be seen is not deleted again at once.",
			File: daemonSet, Old: `case !rec.DeletedAt.IsZero() && p.now.Before(rec.DeletedAt.Add(echoTime)):`, New: `case false:`,
			Test: "TestADaemonSetWithAFailedPod/whose delete succeeded is replacing, even while the pod can still be seen",
		},
		{
			Name: "delete/retries", Rule: "A delete that fails is retried for a while.",
			File: remove, Old: `return retry.ExpectedError(last)`, New: `return last`,
			Test: "TestADeleteThatFailsAgainAndAgainIsBlocked",
		},
		{
			Name: "delete/kept-back", Rule: "A delete that the gate has kept back is no failure.",
			File: remove, Old: `case errors.Is(last, errGateClosed), connection.ctx.Err() != nil:`, New: `case connection.ctx.Err() != nil:`,
			Test: "TestTheKubeletIsAskedBeforeEveryDelete",
		},
		{
			Name: "delete/certificate", Rule: "A certificate that is refused is read anew.",
			File: remove, Old: `connection.interrupt(last)`, New: `_ = last`,
			Test: "TestACertificateThatIsRefusedForADeleteIsReadAnew",
		},
	}
}

// answers is what the answers to a delete lead to.
func answers() []mutation.Row {
	const errors = "internal/kube/errors.go"

	return []mutation.Row{
		{
			Name: "answer/not-found", Rule: "NotFound means that somebody else did it.",
			File: errors, Old: `(apierrors.IsNotFound(err) || apierrors.IsConflict(err))`, New: `apierrors.IsConflict(err)`,
			Test: "TestDeletePodFails/when the pod is gone",
		},
		{
			Name: "answer/conflict", Rule: "Another UID means that somebody else did it.",
			File: errors, Old: `(apierrors.IsNotFound(err) || apierrors.IsConflict(err))`, New: `apierrors.IsNotFound(err)`,
			Test: "TestDeletePodFails/when another pod has its name",
		},
		{
			Name: "answer/gone-is-success", Rule: "That somebody else did it is success.",
			File: daemonSet, Old: `case ResultDeleted, ResultGone:`, New: `case ResultDeleted:`,
			Test: "TestADaemonSetWithAFailedPod/whose pod somebody else deleted first is replacing, even while it can still be seen",
		},
		{
			Name: "answer/gone-is-no-failure", Rule: "That somebody else did it is not tried again, and is no delete of ours.",
			File: "pkg/controllers/recovery/delete.go", Old: `return recovery.ResultGone, nil`, New: `return recovery.ResultFailed, last`,
			Test: "TestAPodThatSomebodyElseDeletesFirstIsNoFailure",
		},
		{
			Name: "answer/forbidden", Rule: "Forbidden is a refusal.",
			File: errors, Old: `code >= http.StatusBadRequest && `, New: `code > http.StatusForbidden && `,
			Test: "TestDeletePodFails/when the pod is not the node's",
		},
		{
			Name: "answer/invalid", Rule: "Invalid is a refusal.",
			File: errors, Old: `code < http.StatusInternalServerError`, New: `code < http.StatusUnprocessableEntity`,
			Test: "TestDeletePodFails/when the pod is invalid",
		},
		{
			Name: "answer/denied", Rule: "The no of a webhook is a refusal, whatever its code.",
			File: errors, Old: "case isDenied(err):\n\t\treturn true", New: "case false:\n\t\treturn true",
			Test: "TestDeletePodFails/when a webhook denies as if it were broken",
		},
		{
			Name: "answer/too-many-requests", Rule: "A server that has too much to do has refused nothing.",
			File: errors, Old: `apierrors.IsTooManyRequests(err), `, New: ``,
			Test: "TestDeletePodFails/when there are too many requests",
		},
		{
			Name: "answer/refused-is-blocked", Rule: "A refusal blocks.",
			File: daemonSet, Old: "case ResultRefused:\n\t\trec.Phase = specs.DaemonSetPhaseBlocked", New: "case ResultRefused:",
			Test: "TestADaemonSetWithAFailedPod/whose delete was refused is blocked with the server's words and tried again later",
		},
		{
			Name: "answer/words", Rule: "It is told in the server's words.",
			File: daemonSet, Old: `rec.LastError = outcome.Error`, New: `rec.LastError = "refused"`,
			Test: "TestADaemonSetWithAFailedPod/whose delete was refused is blocked with the server's words and tried again later",
		},
		{
			Name: "answer/finalizers", Rule: "A pod that finalizers hold is blocked.",
			File: daemonSet, Old: "if len(pod.Finalizers) > 0 {\n\t\trec.Phase", New: "if false {\n\t\trec.Phase",
			Test: "TestADaemonSetAndItsReplacement/whose pod is held by finalizers is blocked",
		},
		{
			Name: "answer/growing-delay", Rule: "What is blocked is tried again with a growing delay.",
			File: daemonSet, Old: `backoff.Delay(rec.Failures, first, limit)`, New: `backoff.Delay(1, first, limit)`,
			Test: "TestADaemonSetWithAFailedPod/whose delete is refused again and again waits longer each time",
		},
		{
			Name: "answer/again-after-the-delay", Rule: "It is not tried before that.",
			File: daemonSet, Old: `case p.now.Before(rec.NextAttemptAt):`, New: `case false:`,
			Test: "TestADaemonSetWithAFailedPod/whose delete was refused is blocked with the server's words and tried again later",
		},
		{
			Name: "answer/failed-for-good", Rule: "A delete that goes on failing is told to people.",
			File: "internal/recovery/limits.go", Old: `blockedAfter = 3`, New: `blockedAfter = 30`,
			Test: "TestADaemonSetWithAFailedPod/whose delete has failed three times in a row is blocked with the words, and tried again",
		},
		{
			Name: "answer/abandoned", Rule: "A delete that was not sent is not asked for again at once.",
			File: daemonSet, Old: `rec.NextAttemptAt = now.Add(failedDelay)`, New: `_ = failedDelay`,
			Test: "TestADaemonSetWithAFailedPod/whose delete was abandoned when the gate closed is tried again, but not at once",
		},
		{
			Name: "answer/of-another-pod", Rule: "The answer for another pod says nothing about this one.",
			File: daemonSet, Old: `if rec.FailedPodUID != outcome.PodUID || !isOpen {`, New: `if !isOpen {`,
			Test: "TestAnOutcomeOfAnotherPodIsCountedOnly",
		},
	}
}

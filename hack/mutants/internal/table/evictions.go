// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// evictions is that no pod is deleted past a budget.
func evictions() []mutation.Row {
	return []mutation.Row{
		{
			Name: "evict/evicts", Rule: "Pods leave through the Eviction API.",
			File: evictFile, Old: `if action.Delete {`, New: `if true {`,
			Test: "TestAPodIsEvictedIfItIsStillTheOneThatWasSeen",
		},
		{
			Name: "evict/uid", Rule: "Only the pod that was seen is evicted.",
			File: evictFile, Old: `uid := types.UID(action.Pod.UID)`, New: `uid := types.UID("")`,
			Test: "TestAPodIsEvictedIfItIsStillTheOneThatWasSeen",
		},
		{
			Name: "evict/daemonset", Rule: "Pods of DaemonSets stay.",
			File: drainFile, Old: `if pod.DaemonSet || pod.Mirror || pod.Finished || !pod.Selected {`, New: `if pod.Mirror || pod.Finished || !pod.Selected {`,
			Test: "TestADrain/leaves pods of DaemonSets",
		},
		{
			Name: "evict/mirror", Rule: "Static pods stay.",
			File: drainFile, Old: `if pod.DaemonSet || pod.Mirror || pod.Finished || !pod.Selected {`, New: `if pod.DaemonSet || pod.Finished || !pod.Selected {`,
			Test: "TestADrain/leaves static pods",
		},
		{
			Name: "evict/selected", Rule: "Pods that the policy does not select stay.",
			File: drainFile, Old: `if pod.DaemonSet || pod.Mirror || pod.Finished || !pod.Selected {`, New: `if pod.DaemonSet || pod.Mirror || pod.Finished {`,
			Test: "TestADrain/leaves pods that need not leave",
		},
		{
			Name: "evict/finished-only", Rule: "Without force, only finished pods are deleted.",
			File: drainFile, Old: `if pod.Finished && !pod.DaemonSet && !pod.Mirror && pod.Selected && pod.DeletedAt.IsZero() {`, New: `if !pod.DaemonSet && !pod.Mirror && pod.Selected && pod.DeletedAt.IsZero() {`,
			Test: "TestADrain/evicts side by side",
		},
		{
			Name: "evict/finished-of-daemonsets", Rule: "The finished pods of DaemonSets are left to their controller.",
			File: drainFile, Old: `if pod.Finished && !pod.DaemonSet && `, New: `if pod.Finished && `,
			Test: "TestADrain/leaves the finished pods of DaemonSets to their controller",
		},
		{
			Name: "evict/delay", Rule: "An eviction that is refused is not tried again at once.",
			File: drainFile, Old: `eviction.Tries > 0 && p.now.Before(due.Truncate(time.Second)) {`, New: `false && p.now.Before(due.Truncate(time.Second)) {`,
			Test: "TestADrain/waits a second after the first try",
		},
		{
			Name: "evict/delay-grows", Rule: "It is tried again with a growing delay.",
			File: drainFile, Old: `backoff.Delay(eviction.Tries, evictionDelay, evictionDelayLimit)`, New: `backoff.Delay(1, evictionDelay, evictionDelayLimit)`,
			Test: "TestADrain/waits longer after the third try",
		},
		{
			Name: "evict/freed", Rule: "It is tried at once when its budget is freed.",
			File: drainFile, Old: `if eviction.Tries > 0 && (p.heldBy(pod) == "" || action.Forced) {`, New: `if eviction.Tries > 0 && action.Forced {`,
			Test: "TestADrain/tries at once when the budget is freed",
		},
		{
			Name: "evict/once", Rule: "An eviction that is under way is not sent again.",
			File: evictFile, Old: "if eviction.InFlight {\n\t\treturn\n\t}\n", New: "",
			Test: "TestAPodIsActedUponOnceAtATime",
		},
		{
			Name: "evict/no-retries-below", Rule: "Nothing below tries an eviction again on its own.",
			File: "cmd/rebound-coordinator/internal/apply/retries.go", Old: `response.Header.Del("Retry-After")`, New: `_ = response.Header`,
			Test: "TestAnAnswerThatSaysToWaitIsHandedOn",
		},
		{
			Name: "evict/budgets-select", Rule: "It is known which budgets select a pod.",
			File: "cmd/rebound-coordinator/internal/read/reader.go", Old: "if budget.selector.Matches(labels.Set(pod.Labels)) {", New: "if !budget.selector.Empty() && budget.selector.Matches(labels.Set(pod.Labels)) {",
			Test: "TestPodBudgetsSelectAsTheAPIServerDoes/an empty selector selects all",
		},
		{
			Name: "evict/gone", Rule: "That a pod is gone already is success.",
			File: evictFile, Old: `if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {`, New: `if apierrors.IsConflict(err) {`,
			Test: "TestWhatTheAPIServerSaysIsKept/it is gone",
		},
		{
			Name: "evict/pods-that-came", Rule: "A pod that has come since the drain is not killed without being asked.",
			File: stepFile, Old: `if left && !b.r.Force && b.policy.Drain.OnBlocked != RebootAnyway {`, New: `if left && false {`,
			Test: "TestAStep/Drained goes back to pods that have come since",
		},
		{
			Name: "evict/left-over", Rule: "A node with pods that have not left is not rebooted.",
			File: stepFile, Old: `case b.r.Force || b.policy.Drain.OnBlocked == RebootAnyway:`, New: `case true:`,
			Test: "TestWhenTheTimeIsOver/the node is given up by default",
		},
		{
			Name: "evict/grace", Rule: "The grace period of the policy goes with every eviction.",
			File: drainFile, Old: `GracePeriodSeconds: policy.Drain.GracePeriodSeconds}`, New: `GracePeriodSeconds: nil}`,
			Test: "TestTheGracePeriodOfThePolicyGoesWithEveryEviction",
		},
	}
}

// force is the exception, by name.
func force() []mutation.Row {
	const policyFile = "internal/reboot/policy.go"

	return []mutation.Row{
		{
			Name: "force/by-name", Rule: "A pod is deleted past a budget only if force applies.",
			File: drainFile, Old: `action.Delete, action.Forced = force, force`, New: `action.Delete, action.Forced = true, true`,
			Test: "TestWhenTheTimeIsOver/and not before",
		},
		{
			Name: "force/only-what-is-held", Rule: "Even then, what may be evicted is.",
			File: drainFile, Old: "if held != \"\" {\n\t\t\td.blocking", New: "if held != \"\" || force {\n\t\t\td.blocking",
			Test: "TestWhenTheTimeIsOver/only what is held is deleted",
		},
		{
			Name: "force/after-the-timeout", Rule: "The policy's force begins when the time for the drain is over.",
			File: stepFile, Old: `b.r.Force || forced && overtime)`, New: `b.r.Force || forced)`,
			Test: "TestWhenTheTimeIsOver/and not a moment before",
		},
		{
			Name: "force/policy", Rule: "A policy that does not say so forces nothing.",
			File: policyFile, Old: `if policy.Drain.OnBlocked != Force {`, New: `if policy.Drain.OnBlocked == RebootAnyway {`,
			Test: "TestWhenTheTimeIsOver/the node is given up by default",
		},
		{
			Name: "force/after", Rule: "forceAfter is waited for.",
			File: policyFile, Old: `if p.now.Before(from) {`, New: `if false {`,
			Test: "TestWhenTheTimeIsOver/the node is given up before that",
		},
		{
			Name: "force/after-the-request", Rule: "It counts from the request that stands for now.",
			File: policyFile, Old: `r.requestedAt().Add(*policy.Drain.ForceAfter)`, New: `r.Created.Add(*policy.Drain.ForceAfter)`,
			Test: "TestARequestIsAsOldAsWhatItAsksForNow",
		},
		{
			Name: "force/has-an-end", Rule: "Force has an end too.",
			File: stepFile, Old: `case forced && b.now.Before(limit):`, New: `case forced && !limit.IsZero():`,
			Test: "TestWhenTheTimeIsOver/force has an end too",
		},
		{
			Name: "force/unknown-word", Rule: "A word for onBlocked that is not known gives up.",
			File: "cmd/rebound-coordinator/internal/read/reboot.go", Old: "case v1alpha1.GiveUp:\n", New: "case v1alpha1.GiveUp:\n\tdefault:\n\t\tpolicy.Drain.OnBlocked = reboot.Force\n",
			Test: "TestPolicyFacts/a word for onBlocked that is not known gives up",
		},
		{
			Name: "force/not-remembered", Rule: "What a person has forced once is not forced again.",
			File: applyFile, Old: `"priority": nil, "notBefore": nil, "force": nil,`, New: `"priority": nil, "notBefore": nil,`,
			Test: "TestAWishOfADoneRebootAsksAnew",
		},
	}
}

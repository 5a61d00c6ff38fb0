// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// seconds is a duration of an object.
func seconds(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }

// rebootBlockedRows are about pods that cannot be evicted.
func rebootBlockedRows() []Row {
	return inTurn(
		Row{
			Name: "a budget allows no eviction from the start", Fault: "a PodDisruptionBudget allows none", When: "before the cordon", Lasts: "until the other node was rebooted",
			Phase: pending, Message: "allows no disruption", End: twoDone, Requests: 200, Quick: true,
			Play: func(s *Stage) (string, error) {
				q := s.queue(2)
				blocked, other := q.nodes[0], q.nodes[1]
				q.start(lab.CoordinatorOptions{})
				q.run(blocked, 1, 0)
				q.ask(blocked)
				q.awaitFault(blocked)
				q.ask(other)
				q.awaitRebooted(other)
				q.Check(q.witness.Cordoned(blocked.Name()) == 0, "the blocked node was cordoned")
				q.free()

				return q.done()
			},
		},
		Row{
			Name: "a budget blocks in the middle of a drain", Fault: "a PodDisruptionBudget allows one eviction and no second", When: "in the drain", Lasts: "for ever",
			Phase: cordoned, Message: cannotEvict, End: oneGivenBack + "; b: Done, reboots: 1, schedulable", Requests: 200, Quick: true,
			Play: func(s *Stage) (string, error) {
				q := s.queue(2)
				stuck, other := q.nodes[0], q.nodes[1]
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(3) })
				q.start(lab.CoordinatorOptions{})
				q.stick(stuck)
				q.ask(stuck)
				q.awaitFault(stuck)
				q.ask(other)
				q.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)
				q.awaitGivenBack(stuck, reboot.ReasonBlocked)

				given := time.Now()

				q.await(other, func(r *v1alpha1.NodeReboot) bool { return r.Status.Attempt > 0 })
				q.Check(time.Since(given) < 10*time.Second, "the next node did not go at once")
				q.awaitRebooted(other)

				waiting := q.await(stuck, func(r *v1alpha1.NodeReboot) bool { return r.Status.NextAttemptAt != nil }).Status
				backOff := waiting.NextAttemptAt.Sub(waiting.Results[0].FinishedAt.Time)
				q.Check((backOff-time.Minute).Abs() <= time.Second, "the next attempt is %s later", backOff)

				return q.waiting(stuck)
			},
		},
		Row{
			Name: "a budget is freed in the middle of a drain", Fault: "a PodDisruptionBudget allows one eviction and no second", When: "in the drain", Lasts: "until the drain has met it",
			Phase: cordoned, Message: cannotEvict, End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				q.start(lab.CoordinatorOptions{})
				q.stick(q.nodes[0])
				q.ask(q.nodes[0])
				q.awaitFault(q.nodes[0])
				q.free()

				return q.done()
			},
		},
		Row{
			Name: "a webhook refuses evictions", Fault: "an admission webhook denies every eviction", When: "in the drain", Lasts: "until the node was given back",
			Phase: cordoned, Message: "not on my watch", End: oneGivenBack, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(3) })
				q.start(lab.CoordinatorOptions{})
				q.run(node, 1, 1)

				webhook := must1(q.Lab.AddWebhook(q.ctx, q.Name, admissionv1.ValidatingWebhook{
					Rules: []admissionv1.RuleWithOperations{{
						Operations: []admissionv1.OperationType{admissionv1.Create},
						Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/eviction"}},
					}},
				}, func(w http.ResponseWriter, r *http.Request) {
					lab.AnswerReview(w, r, &metav1.Status{Message: "not on my watch"})
				}))
				q.Cleanup(webhook.Remove)

				q.ask(node)
				q.awaitFault(node)
				q.awaitGivenBack(node, reboot.ReasonBlocked)
				q.Check(len(must1(q.Lab.ReadyPods(q.ctx, q.Name, app))) == 1, "the pod has left")

				return q.waiting(node)
			},
		},
		Row{
			Name: "the policy forces what a budget holds", Fault: "a PodDisruptionBudget allows no eviction", When: "before the cordon", Lasts: "for ever",
			Phase: pending, Message: "allows no disruption", End: oneDone, Requests: 200, Forces: true,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				node := q.nodes[0]
				q.setPolicy(func(policy *v1alpha1.RebootPolicySpec) {
					policy.Drain.Timeout, policy.Drain.OnBlocked = seconds(2), v1alpha1.Force
					policy.Drain.ForceAfter = new(seconds(5))
				})
				q.start(lab.CoordinatorOptions{})
				q.run(node, 1, 0)

				asked := time.Now()

				q.ask(node)
				q.awaitFault(node)
				q.awaitRebooted(node)

				deletes := q.Audit(func(record lab.AuditRecord) bool {
					return record.User == lab.CoordinatorAccount.User() && record.DeletesPod()
				})
				q.Check(len(deletes) == 1, "%d pods were deleted", len(deletes))
				// Times of objects have whole seconds.
				q.Check(deletes[0].Time.Sub(asked) >= 4*time.Second, "a pod was deleted before the deadline")

				return q.done()
			},
		},
	)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// refusalRows are about what the API server does not allow, or not yet.
func refusalRows() []Row {
	return []Row{
		{
			Name: "a webhook denies the delete", Fault: "an admission webhook says no, without a code", When: "the delete", Lasts: "until rebound has said so",
			Phase: "degraded", Message: `proxy: cannot delete proxy-POD: failed to delete pod "proxy-POD": admission webhook "guard.lab.test" denied the request: not on a Tuesday`,
			End: oneBack, Requests: 16, Quick: true,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)
				webhook := s.AddWebhook(admissionv1.ValidatingWebhook{FailurePolicy: new(admissionv1.Fail)},
					func(w http.ResponseWriter, r *http.Request) {
						lab.AnswerReview(w, r, &metav1.Status{Message: "not on a Tuesday"})
					})

				at.resume()
				at.node.AwaitFault()
				must(webhook.Remove(s.ctx))

				return at.node.End(), nil
			},
		},
		{
			Name: "a finalizer stays", Fault: "the pod is held by a finalizer", When: "during the delete", Lasts: "until rebound has said so, and 5s more",
			Phase: "degraded", Message: `proxy: cannot delete proxy-POD: pod "proxy-POD" is held by finalizers: ` + lab.HoldFinalizer,
			End: oneBack, Requests: 10, Quick: true,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)
				letGo := s.Hold(s.awaitPod(""))

				at.resume()
				at.node.AwaitFault()
				at.node.StaysOpen(5 * time.Second)
				letGo()

				return at.node.End(), nil
			},
		},
		{
			Name: "a quota forbids the replacement", Fault: "a ResourceQuota allows no pod", When: "while following the replacement", Lasts: "until rebound has said so, and 5s more",
			Phase: "recovering", Message: "proxy: waiting for the replacement of proxy-POD", End: oneBack, Requests: 10,
			Play: func(s *Stage) (string, error) {
				at := beforeList(s)
				lift := s.forbidPods()

				at.resume()
				at.node.AwaitFault()
				at.node.StaysOpen(5 * time.Second)
				lift()

				return at.node.End(), nil
			},
		},
		{
			Name: "priority and fairness starves the node", Fault: "another user has all seats of the node's priority level", When: "between list and delete", Lasts: "until rebound has said so",
			Phase: "waiting", Message: unreachable, End: oneBack, Requests: 60,
			Play: func(s *Stage) (string, error) {
				at := beforeDelete(s)
				release := s.starve(at.node)

				at.resume()
				at.node.AwaitFault()
				release()

				return at.node.End(), nil
			},
		},
	}
}

// forbidPods allows no pod in the namespace, until it is lifted. It returns when
// the API server goes by it.
func (s *Stage) forbidPods() (lift func()) {
	client := s.Lab.Client().CoreV1()

	must1(client.ResourceQuotas(s.Name).Create(s.ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}, metav1.CreateOptions{}))

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "none"}}},
	}

	s.Await("the quota is in force", func() bool {
		_, err := client.Pods(s.Name).Create(s.ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})

		return apierrors.IsForbidden(err)
	})

	return func() { must(client.ResourceQuotas(s.Name).Delete(s.ctx, "none", metav1.DeleteOptions{})) }
}

// starve gives the node a priority level with few seats, and all of them to
// another user whose requests do not end, until it is released.
func (s *Stage) starve(node *Node) (release func()) {
	// More than the level has seats: one share of the hundreds that there are.
	const hogs = 30

	hog := s.Name + "-hog"
	s.addPriorityLevel(lab.NodeUserPrefix+node.Name(), hog)

	ctx, cancel := context.WithCancel(s.ctx)

	var (
		waiting atomic.Int64
		group   sync.WaitGroup
	)

	end := func() {
		cancel()
		group.Wait()
	}

	// A request holds its seat while a webhook is asked about it.
	s.AddWebhook(admissionv1.ValidatingWebhook{
		FailurePolicy: new(admissionv1.Ignore), TimeoutSeconds: new(int32(30)),
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
		}},
	}, func(_ http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		<-r.Context().Done()
	})
	s.Cleanup(func(context.Context) error {
		end()

		return nil
	})

	must1(s.Lab.Client().RbacV1().RoleBindings(s.Name).Create(s.ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: hog},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: hog}},
	}, metav1.CreateOptions{}))

	// In no group of those who may do everything: they need no seat.
	config := s.Lab.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: hog}

	client := must1(kubernetes.NewForConfig(config))

	for range hogs {
		group.Go(func() {
			for ctx.Err() == nil {
				// It is refused for want of a seat, or ended by the release.
				client.CoreV1().ConfigMaps(s.Name).Create(ctx, &corev1.ConfigMap{ //nolint:errcheck // as it says
					ObjectMeta: metav1.ObjectMeta{GenerateName: "hog-"},
				}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			}
		})
	}

	nodes := must1(kubernetes.NewForConfig(must1(node.Config())))

	s.Await("the node is starved", func() bool {
		err := nodes.CoreV1().RESTClient().Get().Resource("nodes").Name(node.Name()).MaxRetries(0).Do(s.ctx).Error()

		return waiting.Load() > 0 && apierrors.IsTooManyRequests(err)
	})

	return end
}

// addPriorityLevel has the requests of the users go to a priority level with the
// fewest seats, and without a queue.
func (s *Stage) addPriorityLevel(users ...string) {
	client := s.Lab.Client().FlowcontrolV1()

	must1(client.PriorityLevelConfigurations().Create(s.ctx, &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name},
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: new(int32(1)),
				BorrowingLimitPercent:    new(int32(0)),
				LimitResponse:            flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			},
		},
	}, metav1.CreateOptions{}))

	subjects := make([]flowcontrolv1.Subject, len(users))
	for i, user := range users {
		subjects[i] = flowcontrolv1.Subject{Kind: rbacv1.UserKind, User: &flowcontrolv1.UserSubject{Name: user}}
	}

	must1(client.FlowSchemas().Create(s.ctx, &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: s.Name},
			// Before all that there are.
			MatchingPrecedence: 2,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: subjects,
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}, ClusterScope: true,
				}},
			}},
		},
	}, metav1.CreateOptions{}))

	s.Cleanup(func(ctx context.Context) error {
		return errors.Join(
			client.FlowSchemas().Delete(ctx, s.Name, metav1.DeleteOptions{}),
			client.PriorityLevelConfigurations().Delete(ctx, s.Name, metav1.DeleteOptions{}),
		)
	})
}

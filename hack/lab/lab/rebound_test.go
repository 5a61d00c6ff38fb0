// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// backInService is the promise: a DaemonSet pod is Ready so soon after the
	// kubelet is healthy, however often the node has been rebooted.
	backInService = 10 * time.Second

	// holdFinalizer keeps a recovery from ending for as long as a test needs it
	// open.
	holdFinalizer = "lab.test/hold"

	daemonSetController = "system:serviceaccount:kube-system:daemon-set-controller"
)

// withRebound runs rebound with a settle time that does not hold up a test.
func withRebound() lab.NodeOption { return lab.WithRebound(lab.SettleTime(time.Second)) }

// awaitStatus waits until the node's recovery, in the present boot, is as wanted.
func awaitStatus(ctx context.Context, t *testing.T, node *lab.Node, wanted func(specs.RecoveryStatus) bool) specs.RecoveryStatus {
	t.Helper()

	status, err := watchStatus(ctx, node, wanted)
	require.NoError(t, err, "the recovery of node %q: last seen %+v", node.Name(), status)

	return status
}

// awaitPhase waits for a phase of the node's recovery.
func awaitPhase(ctx context.Context, t *testing.T, node *lab.Node, phase specs.Phase) specs.RecoveryStatus {
	t.Helper()

	return awaitStatus(ctx, t, node, func(status specs.RecoveryStatus) bool { return status.Phase == phase })
}

// watchStatus returns the status for which the wait ended, or the last one seen.
func watchStatus(ctx context.Context, node *lab.Node, wanted func(specs.RecoveryStatus) bool) (specs.RecoveryStatus, error) {
	var last specs.RecoveryStatus

	st, err := node.COSI()
	if err != nil {
		return last, err
	}

	_, err = st.WatchFor(ctx, recoveryres.NewRecoveryStatus().Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		status, ok := res.(*recoveryres.RecoveryStatus)
		if !ok {
			return false, nil
		}

		last = *status.TypedSpec()

		return last.BootID == node.BootID() && wanted(last), nil
	}))

	return last, err
}

// awaitDaemonSet waits until the recovery of the DaemonSet on the node is as
// wanted.
func awaitDaemonSet(ctx context.Context, t *testing.T, node *lab.Node, id string, wanted func(specs.DaemonSetRecovery) bool) specs.DaemonSetRecovery {
	t.Helper()

	var last specs.DaemonSetRecovery

	st, err := node.COSI()
	require.NoError(t, err)

	_, err = st.WatchFor(ctx, recoveryres.NewDaemonSetRecovery(id).Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		recovery, ok := res.(*recoveryres.DaemonSetRecovery)
		if !ok {
			return false, nil
		}

		last = *recovery.TypedSpec()

		return wanted(last), nil
	}))
	require.NoError(t, err, "the recovery of DaemonSet %q on node %q: last seen %+v", id, node.Name(), last)

	return last
}

// daemonSetsOf returns what the node says about its DaemonSets, by id.
func daemonSetsOf(ctx context.Context, t *testing.T, node *lab.Node) map[string]specs.DaemonSetRecovery {
	t.Helper()

	st, err := node.COSI()
	require.NoError(t, err)

	list, err := safe.StateListAll[*recoveryres.DaemonSetRecovery](ctx, st)
	require.NoError(t, err)

	found := map[string]specs.DaemonSetRecovery{}
	for item := range list.All() {
		found[item.Metadata().ID()] = *item.TypedSpec()
	}

	return found
}

// requestsOf returns what rebound on the node has asked of the API server.
func requestsOf(t *testing.T, cluster *lab.Lab, node *lab.Node) []lab.AuditRecord {
	t.Helper()

	records, err := cluster.Audit()
	require.NoError(t, err)

	var requests []lab.AuditRecord

	for _, record := range records {
		if record.IsOfRebound(node.Name()) {
			requests = append(requests, record)
		}
	}

	return requests
}

// deletesOf returns the deletes that rebound on the node has tried, whatever
// the answer was.
func deletesOf(t *testing.T, cluster *lab.Lab, node *lab.Node) []lab.AuditRecord {
	t.Helper()

	var deletes []lab.AuditRecord

	for _, request := range requestsOf(t, cluster, node) {
		if request.Verb == "delete" {
			deletes = append(deletes, request)
		}
	}

	return deletes
}

// namesOf returns the names of the pods that were deleted.
func namesOf(deletes []lab.AuditRecord) []string {
	var names []string

	for _, record := range deletes {
		if record.DeletesPod() {
			names = append(names, record.Name)
		}
	}

	return names
}

// waitFromHealthy returns how long after the kubelet was healthy the node's
// DaemonSet pods were Ready.
func waitFromHealthy(ctx context.Context, node *lab.Node) (time.Duration, error) {
	healthy, err := node.WaitKubeletHealthy(ctx)
	if err != nil {
		return 0, err
	}

	ready, err := node.WaitDaemonSetPodsReady(ctx)
	if err != nil {
		return 0, err
	}

	return ready.Sub(healthy), nil
}

// onlyPodOf returns the one pod that the DaemonSet has on the node.
func onlyPodOf(ctx context.Context, t *testing.T, cluster *lab.Lab, daemonSet *appsv1.DaemonSet, node *lab.Node) corev1.Pod {
	t.Helper()

	var found []corev1.Pod

	for _, pod := range podsIn(ctx, t, cluster, daemonSet.Namespace) {
		if pod.Spec.NodeName == node.Name() && metav1.IsControlledBy(&pod, daemonSet) {
			found = append(found, pod)
		}
	}

	require.Len(t, found, 1, "pods of DaemonSet %q on node %q", daemonSet.Name, node.Name())

	return found[0]
}

// setFinalizers replaces the finalizers of the pod.
func setFinalizers(ctx context.Context, t *testing.T, cluster *lab.Lab, pod corev1.Pod, finalizers ...string) {
	t.Helper()

	require.Eventually(t, func() bool {
		current, err := cluster.Client().CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if !assert.NoError(t, err) {
			return true
		}

		current.Finalizers = finalizers

		_, err = cluster.Client().CoreV1().Pods(pod.Namespace).Update(ctx, current, metav1.UpdateOptions{})

		return !apierrors.IsConflict(err) && assert.NoError(t, err)
	}, 10*time.Second, 50*time.Millisecond, "the pod changes all the time")
}

// deletionEvents returns the events that rebound left on the DaemonSet, found as
// "kubectl describe" and "kubectl get events --for" find them.
func deletionEvents(ctx context.Context, t *testing.T, cluster *lab.Lab, daemonSet *appsv1.DaemonSet) []corev1.Event {
	t.Helper()

	list, err := cluster.Client().CoreV1().Events(daemonSet.Namespace).SearchWithContext(ctx, scheme.Scheme, daemonSet)
	require.NoError(t, err)

	var events []corev1.Event

	for _, event := range list.Items {
		if event.Source.Component == "rebound" {
			events = append(events, event)
		}
	}

	return events
}

// suspendBackOff makes the DaemonSet controller act as if its back-off for the
// namespace's DaemonSets never ended: it creates pods and deletes none. After
// some ten reboots in a row that is what it does for a quarter of an hour.
//
// There must be a pod in the namespace soon, by which to see that this is so.
func suspendBackOff(ctx context.Context, t *testing.T, cluster *lab.Lab, namespace string) {
	t.Helper()

	policies := cluster.Client().AdmissionregistrationV1()

	_, err := policies.ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionv1.RuleWithOperations{
						Operations: []admissionv1.OperationType{admissionv1.Delete},
						Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
					},
				}},
			},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("request.userInfo.username != %q", daemonSetController),
				Message:    "back-off",
			}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	_, err = policies.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        namespace,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	config := cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: daemonSetController}

	controller, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)

	// The API server does not say when a policy is in force.
	require.Eventually(t, func() bool {
		pods := podsIn(ctx, t, cluster, namespace)
		if len(pods) == 0 {
			return false
		}

		err := controller.CoreV1().Pods(namespace).Delete(ctx, pods[0].Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})

		return apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
	}, 30*time.Second, 100*time.Millisecond, "the DaemonSet controller may still delete pods")
}

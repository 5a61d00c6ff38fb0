// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// DaemonSetController is the user as which the DaemonSet controller acts.
	DaemonSetController = "system:serviceaccount:kube-system:daemon-set-controller"
	// HoldFinalizer is what HoldPod holds a pod with.
	HoldFinalizer = "lab.test/hold"

	// forceTimeout bounds the time until a policy for admission is in force.
	forceTimeout = 30 * time.Second
)

// SuspendBackOff makes the DaemonSet controller act as if its back-off for the
// namespace's DaemonSets never ended: it creates pods and deletes none. After
// some ten reboots in a row that is what it does for a quarter of an hour.
//
// There must be a pod in the namespace soon, by which to see that this is so.
func (lab *Lab) SuspendBackOff(ctx context.Context, namespace string) error {
	policies := lab.client.AdmissionregistrationV1()

	if _, err := policies.ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: DeletesOfPods()}},
			},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("request.userInfo.username != %q", DaemonSetController),
				Message:    "back-off",
			}},
		},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("failed to create policy %q: %w", namespace, err)
	}

	if _, err := policies.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        namespace,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources:    &admissionv1.MatchResources{NamespaceSelector: NamespaceSelector(namespace)},
		},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("failed to bind policy %q: %w", namespace, err)
	}

	config := lab.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: DaemonSetController}

	controller, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("failed to create client of the DaemonSet controller: %w", err)
	}

	// The API server does not say when a policy is in force.
	err = wait.PollUntilContextTimeout(ctx, readyInterval, forceTimeout, true, func(ctx context.Context) (bool, error) {
		pods, err := controller.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil || len(pods.Items) == 0 {
			return false, err
		}

		err = controller.CoreV1().Pods(namespace).Delete(ctx, pods.Items[0].Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})

		return apierrors.IsInvalid(err) || apierrors.IsForbidden(err), nil
	})
	if err != nil {
		return fmt.Errorf("failed to keep the DaemonSet controller from deleting pods of namespace %q: %w", namespace, err)
	}

	return nil
}

// HoldPod keeps the pod, once it is deleted, until ReleasePod.
func (lab *Lab) HoldPod(ctx context.Context, pod *corev1.Pod) error {
	return lab.setFinalizers(ctx, pod, `["`+HoldFinalizer+`"]`)
}

// ReleasePod lets a pod go that HoldPod has held.
func (lab *Lab) ReleasePod(ctx context.Context, pod *corev1.Pod) error {
	return lab.setFinalizers(ctx, pod, "null")
}

func (lab *Lab) setFinalizers(ctx context.Context, pod *corev1.Pod, finalizers string) error {
	patch := []byte(`{"metadata":{"finalizers":` + finalizers + `}}`)

	if _, err := lab.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("failed to set finalizers of pod %q: %w", pod.Name, err)
	}

	return nil
}

// DeletesOfPods is what the back-off and webhooks are about.
func DeletesOfPods() admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Delete},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}
}

// NamespaceSelector selects the namespace.
func NamespaceSelector(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
)

// SetClock makes the machine's wall clock be ahead of the right one, or behind
// it if off is negative, at once and over reboots. Rebound in machined reads that
// clock. The kubelet has the right one, so what it writes is moved on its way:
// a policy for admission changes the time at which it says that a pod started,
// which it says once. Its other times stay, and so do those of an agent.
//
// For the second or two that a policy takes to be in force, the clock of the
// kubelet is ahead of that of rebound and not behind it: no pod must seem to have
// waited for an hour that never was. It returns when both are set.
func (node *Node) SetClock(ctx context.Context, off time.Duration) error {
	setKubelet := func() error { return node.moveStartTimes(ctx, off) }
	setRebound := func() error { return node.config.Root.SetClock(off) }

	first, second := setRebound, setKubelet
	if off > node.clockOff {
		first, second = setKubelet, setRebound
	}

	for _, set := range []func() error{first, second} {
		if err := set(); err != nil {
			return fmt.Errorf("failed to set clock of node %q: %w", node.name, err)
		}
	}

	node.clockOff = off

	return nil
}

// moveStartTimes creates or changes the node's policy and waits until it is in
// force.
func (node *Node) moveStartTimes(ctx context.Context, off time.Duration) error {
	name := "clock-" + node.name

	if err := node.lab.Apply(ctx, node.clockPolicy(name, off), &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}); err != nil {
		return err
	}

	return node.lab.awaitClockPolicy(ctx, name, off)
}

// clockPolicy moves the start of pods on the node, and of the one with the
// policy's own name, by which it is seen to be in force.
func (node *Node) clockPolicy(name string, off time.Duration) runtime.Object {
	return &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/status"}},
				},
			}}},
			MatchConditions: []admissionv1.MatchCondition{{
				Name: "started",
				Expression: fmt.Sprintf("has(object.status.startTime) && (object.metadata.name == %q || has(object.spec.nodeName) && object.spec.nodeName == %q)",
					name, node.name),
			}},
			FailurePolicy:      new(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: fmt.Sprintf(
					`[JSONPatch{op: "replace", path: "/status/startTime", value: has(oldObject.status.startTime) ? `+
						`oldObject.status.startTime : string(timestamp(object.status.startTime) + duration("%ds"))}]`,
					int(off.Seconds()))},
			}},
		},
	}
}

// awaitClockPolicy returns when the policy moves times by off. The API server
// does not say so: a pod that nobody runs shows it.
func (lab *Lab) awaitClockPolicy(ctx context.Context, name string, off time.Duration) error {
	pods := lab.client.CoreV1().Pods(metav1.NamespaceDefault)

	probe, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "lab.test/clock"}},
			Containers:      []corev1.Container{{Name: "clock", Image: image}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("failed to create pod %q: %w", name, err)
	}

	started := metav1.NewTime(time.Now().Truncate(time.Second))
	probe.Status.StartTime = &started

	err = wait.PollUntilContextTimeout(ctx, readyInterval, forceTimeout, true, func(ctx context.Context) (bool, error) {
		answer, err := pods.UpdateStatus(ctx, probe, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return false, err
		}

		return answer.Status.StartTime.Sub(started.Time) == off, nil
	})
	if err != nil {
		err = fmt.Errorf("failed to wait until times are moved: %w", err)
	}

	removeErr := pods.Delete(context.WithoutCancel(ctx), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	if apierrors.IsNotFound(removeErr) {
		removeErr = nil
	}

	return errors.Join(err, removeErr)
}

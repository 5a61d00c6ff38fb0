// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// trim keeps of a pod only what PodFacts reads, so that a full node costs kilobytes. It has the form of a
// cache.TransformFunc and leaves what is not a pod as it is.
func trim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}

	var annotations map[string]string

	for _, key := range []string{corev1.MirrorPodAnnotationKey, recovery.SkipAnnotation} {
		if value, ok := pod.Annotations[key]; ok {
			if annotations == nil {
				annotations = map[string]string{}
			}

			annotations[key] = value
		}
	}

	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         pod.Namespace,
			Name:              pod.Name,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp,
			DeletionTimestamp: pod.DeletionTimestamp,
			Finalizers:        pod.Finalizers,
			Annotations:       annotations,
			OwnerReferences: slices.DeleteFunc(slices.Clone(pod.OwnerReferences), func(ref metav1.OwnerReference) bool {
				return ref.Controller == nil || !*ref.Controller
			}),
		},
		Spec: corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status: corev1.PodStatus{
			Phase:     pod.Status.Phase,
			Reason:    specs.Printable(pod.Status.Reason, maxReason),
			Message:   specs.Printable(pod.Status.Message, maxMessage),
			StartTime: pod.Status.StartTime,
			Conditions: slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(condition corev1.PodCondition) bool {
				return condition.Type != corev1.PodReady && condition.Type != corev1.DisruptionTarget && condition.Type != corev1.PodScheduled
			}),
			InitContainerStatuses: trimStates(pod.Status.InitContainerStatuses),
			ContainerStatuses:     trimStates(pod.Status.ContainerStatuses),
		},
	}, nil
}

// trimStates keeps the containers that cannot start, and why.
func trimStates(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus

	for _, status := range statuses {
		if waiting := status.State.Waiting; waiting != nil {
			kept = append(kept, corev1.ContainerStatus{
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting.Reason}},
			})
		}
	}

	return kept
}

const (
	// maxReason bounds a reason in bytes, maxMessage a message. Whoever may write the status of a pod may have written them,
	// and they are shown in many places.
	maxReason  = 128
	maxMessage = 1024
	// maxFinalizers is how many finalizers are named. The API server bounds only what an object has in all.
	maxFinalizers = 5
)

// PodFacts reduces a pod to what the decision rests on. Its texts can be printed as they are.
func PodFacts(pod *corev1.Pod) recovery.Pod {
	facts := recovery.Pod{
		Namespace:        pod.Namespace,
		Name:             pod.Name,
		UID:              string(pod.UID),
		NodeName:         pod.Spec.NodeName,
		Failed:           pod.Status.Phase == corev1.PodFailed,
		Ready:            isTrue(condition(pod, corev1.PodReady)),
		Reason:           specs.Printable(pod.Status.Reason, maxReason),
		Message:          specs.Printable(pod.Status.Message, maxMessage),
		KubeletDisrupted: isDisruptedByKubelet(pod),
		Created:          pod.CreationTimestamp.Time,
		Deleting:         pod.DeletionTimestamp != nil,
		Finalizers:       finalizers(pod),
		Mirror:           isMirror(pod),
		OptedOut:         pod.Annotations[recovery.SkipAnnotation] == "true",
		Summary:          specs.Printable(summary(pod), maxReason),
	}

	if facts.KubeletDisrupted {
		facts.DisruptedAt = condition(pod, corev1.DisruptionTarget).LastTransitionTime.Time
	}

	if pod.Status.StartTime != nil {
		facts.Started = pod.Status.StartTime.Time
	}

	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		facts.Owner = recovery.Owner{Kind: ref.Kind, Name: ref.Name, UID: string(ref.UID)}

		// An API version that cannot be parsed leaves the group empty, which no DaemonSet has.
		if version, err := schema.ParseGroupVersion(ref.APIVersion); err == nil {
			facts.Owner.Group, facts.Owner.Version = version.Group, version.Version
		}
	}

	return facts
}

// finalizers are the first ones that hold a pod.
func finalizers(pod *corev1.Pod) []string {
	found := slices.Clone(pod.Finalizers[:min(len(pod.Finalizers), maxFinalizers)])
	for i := range found {
		found[i] = specs.Printable(found[i], maxReason)
	}

	return found
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}

	return nil
}

func isTrue(c *corev1.PodCondition) bool { return c != nil && c.Status == corev1.ConditionTrue }

func isFalse(c *corev1.PodCondition) bool { return c != nil && c.Status == corev1.ConditionFalse }

// isMirror is true for a pod with the annotation, whatever its value, as it is to the kubelet and NodeRestriction.
func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]

	return ok
}

func isDisruptedByKubelet(pod *corev1.Pod) bool {
	c := condition(pod, corev1.DisruptionTarget)

	return isTrue(c) && c.Reason == corev1.PodReasonTerminationByKubelet
}

// summary says in a few words how a pod is doing: its phase, and what it waits for as far as that is known.
func summary(pod *corev1.Pod) string {
	phase := cmp.Or(string(pod.Status.Phase), string(corev1.PodPending))

	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, status := range statuses {
			if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing" {
				return phase + ": " + waiting.Reason
			}
		}
	}

	if scheduled := condition(pod, corev1.PodScheduled); isFalse(scheduled) && scheduled.Reason != "" {
		return phase + ": " + scheduled.Reason
	}

	if pod.Status.Phase == corev1.PodRunning && !isTrue(condition(pod, corev1.PodReady)) {
		return phase + ", not Ready"
	}

	return phase
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The statuses are those that were recorded of a real kubelet, as far as others
// decide by them.

// starting is the status of a pod whose container is being created.
func starting(at metav1.Time, pod *corev1.Pod) corev1.PodStatus {
	name := pod.Spec.Containers[0].Name

	return corev1.PodStatus{
		Phase: corev1.PodPending, StartTime: &at, HostIP: hostIP, PodIP: hostIP,
		Conditions: conditions(at, corev1.ConditionFalse),
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: name, Image: pod.Spec.Containers[0].Image, Started: new(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		}},
	}
}

// running is the status of a pod that is Ready.
func running(at metav1.Time, pod *corev1.Pod) corev1.PodStatus {
	status := starting(at, pod)
	status.Phase = corev1.PodRunning
	status.Conditions = conditions(at, corev1.ConditionTrue)
	status.ContainerStatuses[0].Ready = true
	status.ContainerStatuses[0].Started = new(true)
	status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}

	return status
}

// rejected is the status of a pod that came while the kubelet was shutting down.
// It has no conditions.
func rejected(at metav1.Time) corev1.PodStatus {
	return corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "NodeShutdown", Message: "Pod was rejected as the node is shutting down.", StartTime: &at,
	}
}

// terminated is the status of a pod that the shutdown has killed.
func terminated(at metav1.Time, pod *corev1.Pod) corev1.PodStatus {
	started := pod.Status.StartTime
	if started == nil {
		started = &at
	}

	return corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "Terminated", Message: "Pod was terminated in response to imminent node shutdown.", StartTime: started,
		Conditions: append(conditions(at, corev1.ConditionFalse), corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
			Message: "Pod was terminated in response to imminent node shutdown.", LastTransitionTime: at,
		}),
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image, Started: new(false),
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: *started, FinishedAt: at}},
		}},
	}
}

func conditions(at metav1.Time, ready corev1.ConditionStatus) []corev1.PodCondition {
	made := make([]corev1.PodCondition, 0, 5)

	for kind, status := range map[corev1.PodConditionType]corev1.ConditionStatus{
		corev1.PodInitialized: corev1.ConditionTrue, corev1.PodReadyToStartContainers: ready,
		corev1.PodReady: ready, corev1.ContainersReady: ready,
	} {
		made = append(made, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: at})
	}

	return made
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.Status.Phase == corev1.PodRunning
		}
	}

	return false
}

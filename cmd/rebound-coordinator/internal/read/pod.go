// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// kindDaemonSet is the kind of controller whose pods stay on a node, in whatever API group it is.
const kindDaemonSet = "DaemonSet"

// PodFacts returns what a Pod says, without what selects it.
func PodFacts(object *corev1.Pod) reboot.Pod {
	pod := reboot.Pod{
		Namespace:  object.Namespace,
		Name:       object.Name,
		UID:        string(object.UID),
		Mirror:     isMirror(object),
		Finished:   object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed,
		Pending:    object.Status.Phase == corev1.PodPending,
		Ready:      isReady(object),
		Finalizers: object.Finalizers,
	}

	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		pod.DaemonSet = owner.Kind == kindDaemonSet
	}

	if deleted := object.DeletionTimestamp; deleted != nil {
		// It is the time at which the pod has to have ended.
		pod.DeletedAt = deleted.Time

		if grace := object.DeletionGracePeriodSeconds; grace != nil {
			pod.DeletedAt = deleted.Add(-time.Duration(*grace) * time.Second)
		}
	}

	return pod
}

func isMirror(object *corev1.Pod) bool {
	_, ok := object.Annotations[corev1.MirrorPodAnnotationKey]

	return ok
}

func isReady(object *corev1.Pod) bool {
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}

	return false
}

// TrimPod keeps of a pod what is looked at, here and by PodFacts, so that the cache of a large cluster stays small.
func TrimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}

	trimmed := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: pod.Labels,
			DeletionTimestamp: pod.DeletionTimestamp, DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds,
			Finalizers: pod.Finalizers,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status: corev1.PodStatus{Phase: pod.Status.Phase},
	}

	if owner := metav1.GetControllerOf(pod); owner != nil {
		trimmed.OwnerReferences = []metav1.OwnerReference{*owner}
	}

	if isMirror(pod) {
		trimmed.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
	}

	if isReady(pod) {
		trimmed.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}

	return trimmed, nil
}

func podBudgetFacts(object *policyv1.PodDisruptionBudget) reboot.PodBudget {
	policy := object.Spec.UnhealthyPodEvictionPolicy

	return reboot.PodBudget{
		Allowed:               int(object.Status.DisruptionsAllowed),
		Current:               object.Status.ObservedGeneration >= object.Generation,
		Healthy:               object.Status.DesiredHealthy > 0 && object.Status.CurrentHealthy >= object.Status.DesiredHealthy,
		AlwaysAllowsUnhealthy: policy != nil && *policy == policyv1.AlwaysAllow,
	}
}

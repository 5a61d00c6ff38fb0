// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// appLabel has the name of what a pod belongs to.
const appLabel = "app"

// PodOption changes the pods of a workload.
type PodOption func(*corev1.PodTemplateSpec)

// OnNode binds the pods to a node by a selector, so that the scheduler minds its
// cordon.
func OnNode(name string) PodOption { return OnNodes(map[string]string{corev1.LabelHostname: name}) }

// OnNodes lets the pods run on the nodes with the labels.
func OnNodes(labels map[string]string) PodOption {
	return func(template *corev1.PodTemplateSpec) { template.Spec.NodeSelector = labels }
}

// EmptyDir gives the pods a volume that is lost with them.
func EmptyDir() PodOption {
	return func(template *corev1.PodTemplateSpec) {
		template.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
}

// Grace sets the seconds that the pods have to end. The lab's containers end at
// once, unless they are programs.
func Grace(seconds int64) PodOption {
	return func(template *corev1.PodTemplateSpec) { template.Spec.TerminationGracePeriodSeconds = &seconds }
}

// Finalizer keeps the pods, once they are deleted, until somebody removes it.
func Finalizer(name string) PodOption {
	return func(template *corev1.PodTemplateSpec) { template.Finalizers = append(template.Finalizers, name) }
}

// PodLabels adds labels to the pods.
func PodLabels(labels map[string]string) PodOption {
	return func(template *corev1.PodTemplateSpec) {
		for key, value := range labels {
			template.Labels[key] = value
		}
	}
}

// podTemplate is an application that ends within a second. It tolerates nothing,
// so that it leaves a node that is cordoned or away.
func podTemplate(name string, opts []PodOption) corev1.PodTemplateSpec {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appLabel: name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			Containers:                    []corev1.Container{{Name: name, Image: image}},
		},
	}

	for _, opt := range opts {
		opt(&template)
	}

	return template
}

// Deployment builds a Deployment.
func Deployment(namespace, name string, replicas int32, opts ...PodOption) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{appLabel: name}},
			Template: podTemplate(name, opts),
		},
	}
}

// StatefulSet builds a StatefulSet: its pods are replaced only when they are
// gone.
func StatefulSet(namespace, name string, replicas int32, opts ...PodOption) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas:    &replicas,
			ServiceName: name,
			Selector:    &metav1.LabelSelector{MatchLabels: map[string]string{appLabel: name}},
			Template:    podTemplate(name, opts),
		},
	}
}

// BarePod builds a pod that nobody replaces.
func BarePod(namespace, name string, opts ...PodOption) *corev1.Pod {
	template := podTemplate(name, opts)
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = namespace, name

	return pod
}

// DisruptionBudget builds a PodDisruptionBudget of the same name as the workload
// that it is for: so many of its pods may be disrupted at a time.
func DisruptionBudget(namespace, name string, maxUnavailable int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{appLabel: name}},
			MaxUnavailable: new(intstr.FromInt32(maxUnavailable)),
		},
	}
}

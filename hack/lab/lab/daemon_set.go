// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/talos-rebound/rebound/hack/lab/internal/cri"
)

// image is never pulled.
const image = "registry.k8s.io/pause:3.10"

// DaemonSetOption changes a DaemonSet that is being built.
type DaemonSetOption func(*appsv1.DaemonSet)

// DaemonSet builds a DaemonSet of the kind that a node cannot do without: its
// pods tolerate everything and end within a second.
func DaemonSet(namespace, name string, opts ...DaemonSetOption) *appsv1.DaemonSet {
	labels := map[string]string{"app": name}

	daemonSet := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{}},
				Spec: corev1.PodSpec{
					Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					TerminationGracePeriodSeconds: new(int64(1)),
					AutomountServiceAccountToken:  new(false),
					Containers:                    []corev1.Container{{Name: name, Image: image}},
				},
			},
		},
	}

	for _, opt := range opts {
		opt(daemonSet)
	}

	return daemonSet
}

// Critical gives the pods the priority class system-node-critical, so that the
// kubelet terminates them in the second phase of its shutdown.
func Critical() DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		daemonSet.Spec.Template.Spec.PriorityClassName = "system-node-critical"
	}
}

// HostNetwork puts the pods into the node's network.
func HostNetwork() DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) { daemonSet.Spec.Template.Spec.HostNetwork = true }
}

// HostPort makes each pod ask for a port of the node. Two DaemonSets that ask
// for the same one cannot both have a pod on it: the scheduler binds one of them
// and lets the other wait.
func HostPort(port int32) DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		container := &daemonSet.Spec.Template.Spec.Containers[0]
		container.Ports = append(container.Ports, corev1.ContainerPort{ContainerPort: port, HostPort: port})
	}
}

// InitContainer adds an init container, as a CNI has one that installs its
// binaries.
func InitContainer(name string) DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		spec := &daemonSet.Spec.Template.Spec
		spec.InitContainers = append(spec.InitContainers, corev1.Container{Name: name, Image: cri.InitImage})
	}
}

// Requests makes each pod ask for one unit of an extended resource.
func Requests(name string) DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		one := corev1.ResourceList{corev1.ResourceName(name): resource.MustParse("1")}

		daemonSet.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: one, Limits: one}
	}
}

// Sysctl makes each pod ask for a kernel parameter. The kubelet rejects every
// pod that asks for one which is not known as safe, for ever, and the scheduler
// does not know of it.
func Sysctl(name, value string) DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		daemonSet.Spec.Template.Spec.SecurityContext = &corev1.PodSecurityContext{
			Sysctls: []corev1.Sysctl{{Name: name, Value: value}},
		}
	}
}

// MaxSurge lets an update start a new pod before the old one has ended. The
// DaemonSet controller then also creates a pod although a Failed one is there.
func MaxSurge() DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		daemonSet.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{
			Type: appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDaemonSet{
				MaxSurge:       new(intstr.FromInt32(1)),
				MaxUnavailable: new(intstr.FromInt32(0)),
			},
		}
	}
}

// ReadyCondition is the condition that pods of a DaemonSet with a ReadyGate wait
// for.
const ReadyCondition corev1.PodConditionType = "lab.test/ready"

// ReadyGate keeps each pod from being Ready until Lab.OpenReadyGate.
func ReadyGate() DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		daemonSet.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: ReadyCondition}}
	}
}

// OpenReadyGate lets the pod of a DaemonSet with a ReadyGate be Ready.
func (lab *Lab) OpenReadyGate(ctx context.Context, pod *corev1.Pod) error {
	patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":%q,"status":"True"}]}}`, ReadyCondition)

	_, err := lab.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("failed to set condition of pod %q: %w", pod.Name, err)
	}

	return nil
}

// Annotations annotates the pods.
func Annotations(annotations map[string]string) DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) {
		maps.Copy(daemonSet.Spec.Template.Annotations, annotations)
	}
}

// NodeSelector restricts the DaemonSet to nodes with the labels.
func NodeSelector(labels map[string]string) DaemonSetOption {
	return func(daemonSet *appsv1.DaemonSet) { daemonSet.Spec.Template.Spec.NodeSelector = labels }
}

// ApplyDaemonSet creates the DaemonSet, or changes its spec, and creates its
// namespace if need be.
func (lab *Lab) ApplyDaemonSet(ctx context.Context, daemonSet *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	if err := lab.ensureNamespace(ctx, daemonSet.Namespace); err != nil {
		return nil, err
	}

	client := lab.client.AppsV1().DaemonSets(daemonSet.Namespace)

	applied, err := client.Create(ctx, daemonSet, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		// Without a resource version it replaces whatever there is.
		applied, err = client.Update(ctx, daemonSet, metav1.UpdateOptions{})
	}

	if err != nil {
		return nil, fmt.Errorf("failed to apply DaemonSet %q: %w", daemonSet.Name, err)
	}

	return applied, nil
}

// ensureNamespace creates the namespace if there is none, and waits until pods
// can be created in it; "" is no namespace.
func (lab *Lab) ensureNamespace(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}

	if _, err := lab.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("failed to create namespace %q: %w", name, err)
	}

	return lab.waitNamespace(ctx, name)
}

// waitNamespace waits until pods can be created in the namespace: until it has
// its default service account.
func (lab *Lab) waitNamespace(ctx context.Context, name string) error {
	err := waitFor(ctx, lab, "serviceaccounts", name, fields.OneTermEqualSelector("metadata.name", "default"), &corev1.ServiceAccount{},
		func(_ *corev1.ServiceAccount, deleted bool) bool { return !deleted })
	if err != nil {
		return fmt.Errorf("failed to wait for the service account of namespace %q: %w", name, err)
	}

	return nil
}

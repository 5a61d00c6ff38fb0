// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

// containers is the kubelet's container manager: no cgroups, but devices, and
// a word to the runtime about which containers are init containers.
type containers struct {
	cm.ContainerManager

	runtime *runtime
	devices *devices
}

func newContainers(runtime *runtime, wanted map[string]Device) *containers {
	capacity := corev1.ResourceList{}

	for name, device := range wanted {
		capacity[corev1.ResourceName(name)] = *resource.NewQuantity(device.Count, resource.DecimalSI)
	}

	return &containers{
		ContainerManager: cm.NewStubContainerManagerWithDevicePluginResource(capacity),
		runtime:          runtime,
		devices:          newDevices(wanted),
	}
}

// GetAllocateResourcesPodAdmitHandler implements cm.ContainerManager.
func (containers *containers) GetAllocateResourcesPodAdmitHandler() lifecycle.PodAdmitHandler {
	return containers.devices
}

// InternalContainerLifecycle implements cm.ContainerManager.
func (containers *containers) InternalContainerLifecycle() cm.InternalContainerLifecycle {
	return &containerLifecycle{
		InternalContainerLifecycle: containers.ContainerManager.InternalContainerLifecycle(),
		runtime:                    containers.runtime,
	}
}

// containerLifecycle is the one place where a container's id and its pod's
// spec are at hand together: the CRI does not say what an init container is.
type containerLifecycle struct {
	cm.InternalContainerLifecycle

	runtime *runtime
}

// PreStartContainer implements cm.InternalContainerLifecycle.
func (hooks *containerLifecycle) PreStartContainer(logger klog.Logger, pod *corev1.Pod, container *corev1.Container, containerID string) error {
	if runsToCompletion(pod, container.Name) {
		hooks.runtime.endsByItself(containerID)
	}

	return hooks.InternalContainerLifecycle.PreStartContainer(logger, pod, container, containerID)
}

// runsToCompletion is true for init containers other than sidecars.
func runsToCompletion(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(init corev1.Container) bool {
		return init.Name == name && init.RestartPolicy == nil
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/cm/admission"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

// deviceCount is how many there are of each device.
const deviceCount = 100

// containers is the kubelet's container manager: no cgroups, but devices.
type containers struct {
	cm.ContainerManager

	devices devices
}

// newContainers makes a container manager with extended resources, each with the
// time from which on it can be allocated.
func newContainers(wanted map[string]time.Time) *containers {
	capacity := corev1.ResourceList{}

	for name := range wanted {
		capacity[corev1.ResourceName(name)] = *resource.NewQuantity(deviceCount, resource.DecimalSI)
	}

	return &containers{ContainerManager: cm.NewStubContainerManagerWithDevicePluginResource(capacity), devices: wanted}
}

// GetAllocateResourcesPodAdmitHandler implements cm.ContainerManager.
func (containers *containers) GetAllocateResourcesPodAdmitHandler() lifecycle.PodAdmitHandler {
	return containers.devices
}

// devices admits a pod when every device that it asks for can be allocated.
//
// It stands where the kubelet's device manager stands, at the end of the same
// chain of admission handlers, and its refusals go through the same code: the
// pod fails with reason UnexpectedAdmissionError, and nobody but the kubelet
// can know beforehand, so the scheduler keeps on binding replacements.
type devices map[string]time.Time

// Admit implements lifecycle.PodAdmitHandler.
func (devices devices) Admit(attrs *lifecycle.PodAdmitAttributes) lifecycle.PodAdmitResult {
	for _, container := range attrs.Pod.Spec.Containers {
		for name := range container.Resources.Requests {
			if usable, ok := devices[string(name)]; ok && time.Now().Before(usable) {
				return admission.GetPodAdmitResult(unallocatable(name))
			}
		}
	}

	return admission.GetPodAdmitResult(nil)
}

func unallocatable(name corev1.ResourceName) error {
	return fmt.Errorf("no healthy devices present; cannot allocate unhealthy devices %s", name)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/admission"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

// Device is an extended resource that a device plugin advertises.
type Device struct {
	// Count is the capacity that the node reports from its start.
	Count int64 `json:"count"`
	// UsableAfter is the time after the start of the kubelet in which the plugin
	// fails to allocate the device, as one does whose driver is still loading.
	UsableAfter time.Duration `json:"usableAfter"`
}

// devices admits a pod when every device that it asks for can be allocated.
//
// It stands where the kubelet's device manager stands, at the end of the same
// chain of admission handlers, and its refusals go through the same code: the
// pod fails with reason UnexpectedAdmissionError, and nobody but the kubelet
// can know beforehand, so the scheduler keeps on binding replacements.
type devices struct {
	started time.Time
	wanted  map[string]Device
}

func newDevices(wanted map[string]Device) *devices {
	return &devices{started: time.Now(), wanted: wanted}
}

// Admit implements lifecycle.PodAdmitHandler.
func (devices *devices) Admit(attrs *lifecycle.PodAdmitAttributes) lifecycle.PodAdmitResult {
	up := time.Since(devices.started)

	for _, container := range attrs.Pod.Spec.Containers {
		for name := range container.Resources.Requests {
			device, ok := devices.wanted[string(name)]
			if !ok || up >= device.UsableAfter {
				continue
			}

			return admission.GetPodAdmitResult(unallocatable(name))
		}
	}

	return admission.GetPodAdmitResult(nil)
}

func unallocatable(name corev1.ResourceName) error {
	return fmt.Errorf("no healthy devices present; cannot allocate unhealthy devices %s", name)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// InstallReboots makes the API know the objects of coordinated reboots. There are none of them yet.
func (k *Kubernetes) InstallReboots() {
	k.mu.Lock()
	defer k.mu.Unlock()

	for _, resource := range []string{v1alpha1.ResourceNodeReboots, v1alpha1.ResourceRebootBudgets, v1alpha1.ResourceRebootPolicies} {
		k.objects[resource] = map[string]*unstructured.Unstructured{}
	}
}

// SetReboot adds or replaces a NodeReboot, with its status.
func (k *Kubernetes) SetReboot(reboot *v1alpha1.NodeReboot) {
	k.set(v1alpha1.ResourceNodeReboots, reboot.DeepCopy())
}

// SetBudget adds or replaces the RebootBudget, with its status.
func (k *Kubernetes) SetBudget(budget *v1alpha1.RebootBudget) {
	k.set(v1alpha1.ResourceRebootBudgets, budget.DeepCopy())
}

// Reboot is the NodeReboot of a node; nil if there is none.
func (k *Kubernetes) Reboot(node string) *v1alpha1.NodeReboot {
	k.mu.Lock()
	defer k.mu.Unlock()

	object := k.objects[v1alpha1.ResourceNodeReboots][node]
	if object == nil {
		return nil
	}

	reboot := new(v1alpha1.NodeReboot)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, reboot); err != nil {
		panic(err) // it was written by a test, or by a client with the same types
	}

	return reboot
}

// DeleteReboot deletes the NodeReboot of a node, whatever its finalizers.
func (k *Kubernetes) DeleteReboot(node string) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.remove(v1alpha1.ResourceNodeReboots, node)
}

// ChangeReboot changes the NodeReboot of a node, which has to be there, as a coordinator or another person does.
func (k *Kubernetes) ChangeReboot(node string, change func(*v1alpha1.NodeReboot)) {
	reboot := k.Reboot(node)
	change(reboot)
	k.SetReboot(reboot)
}

func (k *Kubernetes) set(resource string, object runtime.Object) {
	object.GetObjectKind().SetGroupVersionKind(resources[resource])

	k.mu.Lock()
	defer k.mu.Unlock()

	k.store(resource, toUnstructured(object))
}

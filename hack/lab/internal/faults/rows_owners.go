// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// ownerRows are about whose a pod is.
func ownerRows() []Row {
	return []Row{
		{
			Name: "a pod has opted out", Fault: "the annotation recovery.talos.dev/skip", When: "always", Lasts: "for ever",
			End:      "recovered (DaemonSets: 1 recovered, 1 opted out), pods deleted: 1; the pod that has opted out is left Failed",
			Requests: 8, Quick: true,
			Play: func(s *Stage) (string, error) {
				node := s.AddNode("", s.Rebound())
				storage := s.Apply("storage", lab.Annotations(map[string]string{"recovery.talos.dev/skip": "true"}))
				s.Apply("proxy")
				s.AwaitReady()
				s.SuspendBackOff()

				before := node.Pod(storage)
				s.Reboot()

				end := node.Tell(node.AwaitPhase(specs.PhaseRecovered))
				after := node.Pod(storage)
				s.Check(after.UID == before.UID && after.Status.Phase == corev1.PodFailed, "the pod that has opted out is %s", after.Status.Phase)

				return end + "; the pod that has opted out is left Failed", nil
			},
		},
		{
			Name: "a DaemonSet of OpenKruise", Fault: "the owner is of the group apps.kruise.io", When: "always", Lasts: "for ever",
			End:      "recovered (DaemonSets: 1 recovered), pods deleted: 1; the replacement is Ready",
			Requests: 8,
			Play: func(s *Stage) (string, error) {
				node := s.AddNode("", s.Rebound())
				owner := s.advancedDaemonSet()

				must1(s.createAdvanced(node, owner, "advanced-00001"))
				s.awaitPodReady("advanced-00001")
				must(node.Reboot(s.ctx))

				// Its controller creates another one when the Failed one is gone.
				s.Await("the Failed pod is deleted", func() bool { return len(s.Pods()) == 0 })
				must1(s.createAdvanced(node, owner, "advanced-00002"))
				s.awaitPodReady("advanced-00002")

				return node.Tell(node.AwaitPhase(specs.PhaseRecovered)) + "; the replacement is Ready", nil
			},
		},
	}
}

// advancedDaemonSet returns a reference to an object that is called like one of
// OpenKruise's DaemonSets, whose kind this makes known.
func (s *Stage) advancedDaemonSet() metav1.OwnerReference {
	const group, version = "apps.kruise.io", "v1alpha1"

	must(s.Lab.Apply(s.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata": map[string]any{
			"name":        "daemonsets." + group,
			"annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, for a test"},
		},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced",
			"names": map[string]any{"plural": "daemonsets", "singular": "daemonset", "kind": "DaemonSet", "listKind": "DaemonSetList"},
			"versions": []any{map[string]any{
				"name": version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
			}},
		},
	}}))

	object := &unstructured.Unstructured{}
	object.SetAPIVersion(group + "/" + version)
	object.SetKind("DaemonSet")
	object.SetNamespace(s.Name)
	object.SetName("advanced")
	must(s.Lab.Apply(s.ctx, object))

	found := must1(s.Lab.Read(s.ctx, object))

	return *metav1.NewControllerRef(found, found.GroupVersionKind())
}

// createAdvanced creates a pod on the node as the owner's controller does.
func (s *Stage) createAdvanced(node *Node, owner metav1.OwnerReference, name string) (*corev1.Pod, error) {
	spec := lab.DaemonSet(s.Name, "advanced").Spec.Template.Spec
	spec.NodeName = node.Name()

	return s.Lab.Client().CoreV1().Pods(s.Name).Create(s.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec:       spec,
	}, metav1.CreateOptions{})
}

// awaitPodReady waits until the pod is Ready.
func (s *Stage) awaitPodReady(name string) {
	s.Await("pod "+name+" is Ready", func() bool {
		return lab.IsPodReady(s.awaitPod(name))
	})
}

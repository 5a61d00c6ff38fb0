// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// workloads are the resources with namespaces, which can be read and listed as a whole; Pods can be deleted and DaemonSets
// patched too. Their group is part of the path.
var workloads = map[string]schema.GroupVersionKind{
	"pods":       {Version: "v1", Kind: "Pod"},
	"events":     {Version: "v1", Kind: "Event"},
	"daemonsets": {Group: "apps", Version: "v1", Kind: "DaemonSet"},
	"leases":     {Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"},
}

// SetWorkload adds or changes an object with a namespace, from YAML or a test. It has to have its kind, which is one of those
// above.
func (k *Kubernetes) SetWorkload(object runtime.Object) error {
	made := toUnstructured(object)

	for resource, kind := range workloads {
		if made.GroupVersionKind() != kind {
			continue
		}

		k.mu.Lock()
		defer k.mu.Unlock()

		k.keep(resource, made)

		return nil
	}

	return fmt.Errorf("there is no %q here", made.GetKind())
}

// Workload is an object as it is now; nil if there is none.
func (k *Kubernetes) Workload(resource, namespace, name string) *unstructured.Unstructured {
	k.mu.Lock()
	defer k.mu.Unlock()

	return k.objects[resource][namespace+"/"+name].DeepCopy()
}

// keep stores an object, which has a new version then.
func (k *Kubernetes) keep(resource string, object *unstructured.Unstructured) {
	if k.objects[resource] == nil {
		k.objects[resource] = map[string]*unstructured.Unstructured{}
	}

	k.objects[resource][object.GetNamespace()+"/"+object.GetName()] = object
	k.tell(change{resource: resource, object: object})
}

// handleWorkloads adds the endpoints of the workloads.
func (k *Kubernetes) handleWorkloads(mux *http.ServeMux) {
	handle := func(pattern, resource string, answer endpoint) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serve(w, r, resource, answer) })
	}

	for resource, kind := range workloads {
		root := "/apis/" + kind.GroupVersion().String()
		if kind.Group == "" {
			root = "/api/v1"
		}

		handle("GET "+root+"/"+resource, resource, k.serveWorkloads)
		handle("GET "+root+"/namespaces/{namespace}/"+resource, resource, k.serveWorkloads)
		handle("GET "+root+"/namespaces/{namespace}/"+resource+"/{name}", resource, k.serveWorkload)
		handle("DELETE "+root+"/namespaces/{namespace}/"+resource+"/{name}", resource, k.writing(k.deleteWorkload))
		handle("PATCH "+root+"/namespaces/{namespace}/"+resource+"/{name}", resource, k.writing(k.patchWorkload))
	}
}

func (k *Kubernetes) serveWorkloads(w http.ResponseWriter, r *http.Request, resource string) error {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.refusal != 0 {
		return k.refused(resource)
	}

	selector, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return err
	}

	kind := workloads[resource]
	list := unstructured.UnstructuredList{}
	list.SetAPIVersion(kind.GroupVersion().String())
	list.SetKind(kind.Kind + "List")

	for _, name := range slices.Sorted(maps.Keys(k.objects[resource])) {
		object := k.objects[resource][name]
		namespace := r.PathValue("namespace")

		if (namespace == "" || namespace == object.GetNamespace()) && selector.Matches(selectable{object}) {
			list.Items = append(list.Items, *object)
		}
	}

	return json.NewEncoder(w).Encode(&list)
}

// selectable is an object whose fields can be selected by their paths.
type selectable struct{ object *unstructured.Unstructured }

// Has implements fields.Fields.
func (s selectable) Has(field string) bool { return s.Get(field) != "" }

// Get implements fields.Fields.
func (s selectable) Get(field string) string {
	text, _, _ := unstructured.NestedString(s.object.Object, strings.Split(field, ".")...)

	return text
}

func (k *Kubernetes) serveWorkload(w http.ResponseWriter, r *http.Request, resource string) error {
	k.mu.Lock()
	defer k.mu.Unlock()

	object, err := k.workload(r, resource)
	if err != nil {
		return err
	}

	return json.NewEncoder(w).Encode(object)
}

func (k *Kubernetes) workload(r *http.Request, resource string) (*unstructured.Unstructured, error) {
	object := k.objects[resource][r.PathValue("namespace")+"/"+r.PathValue("name")]
	if object == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: workloads[resource].Group, Resource: resource}, r.PathValue("name"))
	}

	return object, nil
}

func (k *Kubernetes) deleteWorkload(r *http.Request, resource string) (*unstructured.Unstructured, error) {
	object, err := k.workload(r, resource)
	if err != nil {
		return nil, err
	}

	var options metav1.DeleteOptions
	if err = json.NewDecoder(r.Body).Decode(&options); err != nil {
		return nil, err
	}

	if must := options.Preconditions; must != nil && must.UID != nil && *must.UID != object.GetUID() {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: resource}, object.GetName(), errors.New("the UID is another one"))
	}

	delete(k.objects[resource], object.GetNamespace()+"/"+object.GetName())

	return object, nil
}

// patchWorkload changes the spec as the API server does: it raises the generation if that is another one then. A controller
// that works has seen it at once.
func (k *Kubernetes) patchWorkload(r *http.Request, resource string) (*unstructured.Unstructured, error) {
	current, err := k.workload(r, resource)
	if err != nil {
		return nil, err
	}

	if kind := r.Header.Get("Content-Type"); kind != string(types.MergePatchType) {
		return nil, fmt.Errorf("a patch of type %q", kind)
	}

	if k.refusal != 0 {
		return nil, k.refused(resource)
	}

	patch := new(unstructured.Unstructured)
	if err = json.NewDecoder(r.Body).Decode(&patch.Object); err != nil {
		return nil, err
	}

	if patch.GetResourceVersion() != current.GetResourceVersion() || patch.GetUID() != current.GetUID() {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: resource}, current.GetName(), errors.New("the object has been modified"))
	}

	object := &unstructured.Unstructured{Object: merge(current.DeepCopy().Object, patch.Object)}
	if !reflect.DeepEqual(current.Object["spec"], object.Object["spec"]) {
		object.SetGeneration(current.GetGeneration() + 1)
		object.Object["status"] = map[string]any{"observedGeneration": object.GetGeneration()}
	}

	k.keep(resource, object)

	return object, nil
}

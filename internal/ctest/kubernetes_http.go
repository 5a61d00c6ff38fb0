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
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// resources are those that the API can have, with the kinds of their objects.
var resources = map[string]schema.GroupVersionKind{
	resourceNodes:                   {Version: "v1", Kind: "Node"},
	v1alpha1.ResourceNodeReboots:    v1alpha1.GroupVersion.WithKind("NodeReboot"),
	v1alpha1.ResourceRebootBudgets:  v1alpha1.GroupVersion.WithKind("RebootBudget"),
	v1alpha1.ResourceRebootPolicies: v1alpha1.GroupVersion.WithKind("RebootPolicy"),
}

// endpoint answers one kind of request about a resource.
type endpoint func(w http.ResponseWriter, r *http.Request, resource string) error

func (k *Kubernetes) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, resource string, answer endpoint) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !k.knows(resource) {
				http.NotFound(w, r)

				return
			}

			serve(w, r, resource, answer)
		})
	}

	for resource, kind := range resources {
		path := "/apis/" + kind.GroupVersion().String() + "/" + resource
		if kind.Group == "" {
			path = "/api/v1/" + resource
		}

		handle("GET "+path, resource, k.serveList)
		handle("GET "+path+"/{name}", resource, k.serveObject)

		if kind.Group != "" {
			handle("POST "+path, resource, k.writing(k.create))
			handle("PATCH "+path+"/{name}", resource, k.writing(k.patch))
			handle("DELETE "+path+"/{name}", resource, k.writing(k.delete))
		}
	}

	k.handleWorkloads(mux)

	return mux
}

// serve answers a request, also one that fails.
func serve(w http.ResponseWriter, r *http.Request, resource string, answer endpoint) {
	w.Header().Set("Content-Type", "application/json")

	var status apierrors.APIStatus

	switch err := answer(w, r, resource); {
	case err == nil:
	case errors.As(err, &status):
		said := status.Status()
		said.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}

		w.WriteHeader(int(said.Code))
		json.NewEncoder(w).Encode(said) //nolint:errcheck // the client has gone
	default: // the test sees what is wrong in what it gets
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (k *Kubernetes) knows(resource string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()

	return k.objects[resource] != nil
}

func (k *Kubernetes) serveList(w http.ResponseWriter, r *http.Request, resource string) error {
	if r.URL.Query().Get("watch") != "" {
		return k.serveWatch(w, r, resource)
	}

	k.mu.Lock()
	defer k.mu.Unlock()

	if k.refusal != 0 {
		return k.refused(resource)
	}

	kind := resources[resource]
	list := unstructured.UnstructuredList{}
	list.SetAPIVersion(kind.GroupVersion().String())
	list.SetKind(kind.Kind + "List")
	list.SetResourceVersion(strconv.Itoa(len(k.changes)))

	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return err
	}

	for _, name := range slices.Sorted(maps.Keys(k.objects[resource])) {
		if object := k.objects[resource][name]; selector.Matches(labels.Set(object.GetLabels())) {
			list.Items = append(list.Items, *object)
		}
	}

	return json.NewEncoder(w).Encode(&list)
}

// refused is the answer to every list while that is to be refused.
func (k *Kubernetes) refused(resource string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(k.refusal), Reason: metav1.StatusReason(http.StatusText(k.refusal)),
		Message: fmt.Sprintf(`%[1]s is forbidden: User "test" cannot list resource %[1]q`, resource),
	}}
}

func (k *Kubernetes) serveWatch(w http.ResponseWriter, r *http.Request, resource string) error {
	next, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		return fmt.Errorf("failed to read resource version: %w", err)
	}

	for {
		k.mu.Lock()
		changes, news := k.changes[next:], k.news
		k.mu.Unlock()

		for _, change := range changes {
			next++

			if change.resource != resource {
				continue
			}

			if err = json.NewEncoder(w).Encode(metav1.WatchEvent{Type: string(change.kind), Object: runtime.RawExtension{Object: change.object}}); err != nil {
				return err
			}
		}

		if err = http.NewResponseController(w).Flush(); err != nil {
			return err
		}

		select {
		case <-news:
		case <-k.done:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

func (k *Kubernetes) serveObject(w http.ResponseWriter, r *http.Request, resource string) error {
	k.mu.Lock()
	defer k.mu.Unlock()

	object := k.objects[resource][r.PathValue("name")]
	if object == nil {
		return k.notFound(r, resource)
	}

	return json.NewEncoder(w).Encode(object)
}

// write carries out a request, with the lock taken, and returns what to answer.
type write func(r *http.Request, resource string) (*unstructured.Unstructured, error)

func (k *Kubernetes) writing(carryOut write) endpoint {
	return func(w http.ResponseWriter, r *http.Request, resource string) error {
		k.mu.Lock()
		before := k.before
		k.before = nil
		k.mu.Unlock()

		if before != nil {
			before()
		}

		k.mu.Lock()
		defer k.mu.Unlock()

		object, err := carryOut(r, resource)
		if err != nil {
			return err
		}

		return json.NewEncoder(w).Encode(object)
	}
}

func (k *Kubernetes) create(r *http.Request, resource string) (*unstructured.Unstructured, error) {
	object := new(unstructured.Unstructured)
	if err := json.NewDecoder(r.Body).Decode(object); err != nil {
		return nil, err
	}

	if k.objects[resource][object.GetName()] != nil {
		return nil, apierrors.NewAlreadyExists(groupResource(resource), object.GetName())
	}

	// The status is a subresource.
	unstructured.RemoveNestedField(object.Object, "status")
	object.SetUID(types.UID(fmt.Sprintf("uid-%d", len(k.changes))))
	object.SetCreationTimestamp(metav1.Now())
	k.store(resource, object)

	return object, nil
}

func (k *Kubernetes) patch(r *http.Request, resource string) (*unstructured.Unstructured, error) {
	current := k.objects[resource][r.PathValue("name")]

	switch {
	case current == nil:
		return nil, k.notFound(r, resource)
	case r.Header.Get("Content-Type") != string(types.MergePatchType):
		return nil, fmt.Errorf("a patch of type %q", r.Header.Get("Content-Type"))
	}

	patch := new(unstructured.Unstructured)
	if err := json.NewDecoder(r.Body).Decode(&patch.Object); err != nil {
		return nil, err
	}

	if version := patch.GetResourceVersion(); version != "" && version != current.GetResourceVersion() {
		return nil, apierrors.NewConflict(groupResource(resource), current.GetName(), errors.New("the object has been modified"))
	}

	delete(patch.Object, "status")

	object := &unstructured.Unstructured{Object: merge(current.DeepCopy().Object, patch.Object)}
	k.store(resource, object)

	return object, nil
}

func (k *Kubernetes) delete(r *http.Request, resource string) (*unstructured.Unstructured, error) {
	current := k.objects[resource][r.PathValue("name")]
	if current == nil {
		return nil, k.notFound(r, resource)
	}

	var options metav1.DeleteOptions
	if err := json.NewDecoder(r.Body).Decode(&options); err != nil {
		return nil, err
	}

	if must := options.Preconditions; must != nil && (*must.UID != current.GetUID() || *must.ResourceVersion != current.GetResourceVersion()) {
		return nil, apierrors.NewConflict(groupResource(resource), current.GetName(), errors.New("the preconditions do not hold"))
	}

	if len(current.GetFinalizers()) == 0 {
		k.remove(resource, current.GetName())

		return current, nil
	}

	object := current.DeepCopy()
	object.SetDeletionTimestamp(new(metav1.NewTime(time.Now())))
	k.store(resource, object)

	return object, nil
}

func (k *Kubernetes) notFound(r *http.Request, resource string) error {
	return apierrors.NewNotFound(groupResource(resource), r.PathValue("name"))
}

func groupResource(resource string) schema.GroupResource {
	return schema.GroupResource{Group: resources[resource].Group, Resource: resource}
}

// merge applies a JSON merge patch (RFC 7386) to an object.
func merge(object, patch map[string]any) map[string]any {
	if object == nil {
		object = map[string]any{}
	}

	for key, value := range patch {
		inner, isObject := value.(map[string]any)

		switch {
		case value == nil:
			delete(object, key)
		case isObject:
			was, _ := object[key].(map[string]any)
			object[key] = merge(was, inner)
		default:
			object[key] = value
		}
	}

	return object
}

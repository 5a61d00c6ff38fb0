// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// api is an API server without a network, so that a test can run on a clock of its own. It keeps objects and their versions;
// its watches tell nothing.
type api struct {
	mu       sync.Mutex
	version  int
	objects  map[string]*unstructured.Unstructured
	requests []request
	// missing are API groups that it does not know.
	missing []string
	// answer takes the place of what it would do, if that is not nil.
	answer func(*http.Request) *http.Response
}

// request is one that it got.
type request struct {
	at           time.Time
	method, path string
}

// resources are the paths of the collections, with the kinds of their objects.
var resources = map[string]string{
	"/api/v1/nodes":                                    "Node",
	"/api/v1/pods":                                     "Pod",
	"/apis/policy/v1/poddisruptionbudgets":             "PodDisruptionBudget",
	"/apis/reboot.rebound.dev/v1alpha1/rebootbudgets":  "RebootBudget",
	"/apis/reboot.rebound.dev/v1alpha1/rebootpolicies": "RebootPolicy",
	"/apis/reboot.rebound.dev/v1alpha1/nodereboots":    "NodeReboot",
}

func newAPI(t *testing.T, objects ...client.Object) *api {
	t.Helper()

	a := &api{objects: map[string]*unstructured.Unstructured{}}

	for _, object := range objects {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		require.NoError(t, err)

		var where string

		switch object := object.(type) {
		case *corev1.Node:
			where = "/api/v1/nodes"
		case *corev1.Pod:
			where = "/api/v1/namespaces/" + object.Namespace + "/pods"
		case *policyv1.PodDisruptionBudget:
			where = "/apis/policy/v1/namespaces/" + object.Namespace + "/poddisruptionbudgets"
		case *v1alpha1.RebootBudget:
			where = "/apis/reboot.rebound.dev/v1alpha1/rebootbudgets"
		case *v1alpha1.RebootPolicy:
			where = "/apis/reboot.rebound.dev/v1alpha1/rebootpolicies"
		case *v1alpha1.NodeReboot:
			where = "/apis/reboot.rebound.dev/v1alpha1/nodereboots"
		}

		a.store(where+"/"+object.GetName(), &unstructured.Unstructured{Object: fields})
	}

	return a
}

func (a *api) store(where string, object *unstructured.Unstructured) {
	a.version++
	object.SetResourceVersion(strconv.Itoa(a.version))
	a.objects[where] = object
}

// RoundTrip implements http.RoundTripper.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte

	if r.Body != nil {
		var err error

		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}

		if err = r.Body.Close(); err != nil {
			return nil, err
		}
	}

	a.mu.Lock()
	a.requests = append(a.requests, request{time.Now(), r.Method, r.URL.Path})
	answer := a.answer
	a.mu.Unlock()

	if answer != nil {
		if response := answer(r); response != nil {
			return response, nil
		}
	}

	if err := r.Context().Err(); err != nil {
		return nil, err
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	return a.serve(r, body), nil
}

// never waits until nobody waits for an answer any more.
func never(r *http.Request) *http.Response {
	<-r.Context().Done()

	return nil
}

func respond(code int, value any) *http.Response {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}

	return &http.Response{
		StatusCode: code, Status: strconv.Itoa(code), Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(text)),
	}
}

func failure(code int, reason metav1.StatusReason, message string) *http.Response {
	return respond(code, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason,
		Message: message,
	})
}

func (a *api) serve(r *http.Request, body []byte) *http.Response {
	where := strings.TrimSuffix(r.URL.Path, "/status")
	object := a.objects[where]

	for _, group := range a.missing {
		if strings.Contains(where, group) {
			return failure(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		}
	}

	switch {
	case r.Method == http.MethodGet && object != nil:
		return respond(http.StatusOK, object)
	case r.Method == http.MethodGet && resources[where] != "":
		return a.serveList(r, where)
	case r.Method == http.MethodGet && !strings.Contains(where, "/leases/"):
		return serveDiscovery(where)
	case r.Method == http.MethodPost:
		return a.create(where, body)
	case object == nil:
		return failure(http.StatusNotFound, metav1.StatusReasonNotFound, "there is no "+where)
	}

	return a.update(r.Method, where, object, body)
}

func (a *api) create(where string, body []byte) *http.Response {
	object := new(unstructured.Unstructured)
	if err := json.Unmarshal(body, &object.Object); err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}

	if !strings.HasSuffix(where, "/eviction") && !strings.HasSuffix(where, "/events") {
		a.store(where+"/"+object.GetName(), object)
	}

	return respond(http.StatusCreated, object)
}

func (a *api) update(method, where string, object *unstructured.Unstructured, body []byte) *http.Response {
	was, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}

	if method == http.MethodPatch {
		if body, err = jsonpatch.MergePatch(was, body); err != nil {
			return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		}
	}

	changed := new(unstructured.Unstructured)
	if err = json.Unmarshal(body, &changed.Object); err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}

	if changed.GetResourceVersion() != object.GetResourceVersion() {
		return failure(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	}

	a.store(where, changed)

	return respond(http.StatusOK, changed)
}

func (a *api) serveList(r *http.Request, where string) *http.Response {
	switch query := r.URL.Query(); {
	case query.Get("sendInitialEvents") != "":
		return failure(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "lists and watches are apart here")
	case query.Get("watch") != "":
		reader, writer := io.Pipe()
		go func() {
			<-r.Context().Done()
			writer.CloseWithError(r.Context().Err())
		}()

		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: reader}
	}

	version, plural := path.Split(where)
	version = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(version, "/"), "/apis/"), "/api/")
	list := map[string]any{
		"apiVersion": version, "kind": resources[where] + "List", "metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version)},
	}
	items := []any{}

	for _, name := range slices.Sorted(maps.Keys(a.objects)) {
		if path.Base(path.Dir(name)) == plural {
			items = append(items, a.objects[name].Object)
		}
	}

	list["items"] = items

	return respond(http.StatusOK, list)
}

// serveDiscovery says which groups there are, and which resources a group has.
func serveDiscovery(where string) *http.Response {
	switch where {
	case "/api":
		return respond(http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case "/apis":
		return respond(http.StatusOK, metav1.APIGroupList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}, Groups: []metav1.APIGroup{newGroup("policy/v1"), newGroup("reboot.rebound.dev/v1alpha1")},
		})
	}

	list := metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"},
		GroupVersion: strings.TrimPrefix(strings.TrimPrefix(where, "/apis/"), "/api/"),
	}

	for _, collection := range slices.Sorted(maps.Keys(resources)) {
		if kind := resources[collection]; path.Dir(collection) == where {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: path.Base(collection), Kind: kind, Namespaced: kind == "Pod" || kind == "PodDisruptionBudget", Verbs: metav1.Verbs{"list"},
			})
		}
	}

	if len(list.APIResources) == 0 {
		return failure(http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("the server could not find %s", where))
	}

	return respond(http.StatusOK, list)
}

func newGroup(version string) metav1.APIGroup {
	found := metav1.GroupVersionForDiscovery{GroupVersion: version, Version: path.Base(version)}

	return metav1.APIGroup{Name: path.Dir(version), Versions: []metav1.GroupVersionForDiscovery{found}, PreferredVersion: found}
}

// object returns what it has at a path, or nil.
func (a *api) object(where string) *unstructured.Unstructured {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.objects[where]
}

// answering makes it answer in another way from now on.
func (a *api) answering(answer func(*http.Request) *http.Response) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.answer = answer
}

// since returns the requests that it got from then on, without those of the election.
func (a *api) since(then time.Time) []request {
	a.mu.Lock()
	defer a.mu.Unlock()

	return slices.DeleteFunc(slices.Clone(a.requests), func(r request) bool { return r.at.Before(then) || isElection(r.path) })
}

func isElection(where string) bool { return strings.Contains(where, "/leases") }

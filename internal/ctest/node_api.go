// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// backlog is how many events a watch may be behind.
const backlog = 100

// NodeAPI is a Kubernetes API that has one Node, or none yet, and gives only its metadata. It can be read, watched and
// annotated as a node may do that to its own: by a selector for its name. It asks for no credentials.
type NodeAPI struct {
	// Name is that of the Node.
	Name string

	server *httptest.Server

	mu      sync.Mutex
	node    *metav1.PartialObjectMetadata
	version int
	watches map[chan metav1.WatchEvent]struct{}
	patches []map[string]string
	refusal map[string]*apierrors.StatusError
}

// NewNodeAPI starts an API without its Node. It ends with the test.
func NewNodeAPI(tb testing.TB, name string) *NodeAPI {
	tb.Helper()

	api := &NodeAPI{
		Name: name, version: 1,
		watches: map[chan metav1.WatchEvent]struct{}{}, refusal: map[string]*apierrors.StatusError{},
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", api.serveNodes)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}/status", api.servePatch)

	api.server = httptest.NewServer(mux)
	tb.Cleanup(api.Stop)

	return api
}

// Stop takes the API away.
func (api *NodeAPI) Stop() {
	api.server.CloseClientConnections()
	api.server.Close()
}

// Config is how to reach the API.
func (api *NodeAPI) Config() *rest.Config { return &rest.Config{Host: api.server.URL} }

// Kubeconfig writes a kubeconfig with one context, "test", and returns its path.
func (api *NodeAPI) Kubeconfig(tb testing.TB) string {
	tb.Helper()

	return kubeconfig(tb, api.server.URL)
}

// Annotate makes the Node if there is none, and sets its annotations; an empty value takes one away.
func (api *NodeAPI) Annotate(annotations map[string]string) {
	api.mu.Lock()
	defer api.mu.Unlock()

	api.annotate(annotations)
}

// Delete takes the Node away.
func (api *NodeAPI) Delete() {
	api.mu.Lock()
	defer api.mu.Unlock()

	api.version++
	api.node.ResourceVersion = strconv.Itoa(api.version)
	api.tell(watch.Deleted)
	api.node = nil
}

// Annotations are those of the Node.
func (api *NodeAPI) Annotations() map[string]string {
	api.mu.Lock()
	defer api.mu.Unlock()

	if api.node == nil {
		return nil
	}

	return maps.Clone(api.node.Annotations)
}

// Patches are the annotations of every patch that was carried out.
func (api *NodeAPI) Patches() []map[string]string {
	api.mu.Lock()
	defer api.mu.Unlock()

	return append([]map[string]string(nil), api.patches...)
}

// Watches is how many watches there are.
func (api *NodeAPI) Watches() int {
	api.mu.Lock()
	defer api.mu.Unlock()

	return len(api.watches)
}

// Refuse answers a verb, which is list, watch or patch, with an error from now on, and ends the watches that it is about; nil
// lets it through again.
func (api *NodeAPI) Refuse(verb string, err *apierrors.StatusError) {
	api.mu.Lock()
	defer api.mu.Unlock()

	api.refusal[verb] = err

	if verb == "watch" && err != nil {
		api.endWatches()
	}
}

// EndWatches ends all watches without an error, as an API server does after a while.
func (api *NodeAPI) EndWatches() {
	api.mu.Lock()
	defer api.mu.Unlock()

	api.endWatches()
}

func (api *NodeAPI) endWatches() {
	for events := range api.watches {
		close(events)
		delete(api.watches, events)
	}
}

func (api *NodeAPI) annotate(annotations map[string]string) {
	kind := watch.Modified

	if api.node == nil {
		kind = watch.Added
		api.node = &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
			ObjectMeta: metav1.ObjectMeta{Name: api.Name, UID: types.UID(fmt.Sprintf("uid-%d", api.version))},
		}
	}

	api.node = api.node.DeepCopy()

	if api.node.Annotations == nil {
		api.node.Annotations = map[string]string{}
	}

	for name, value := range annotations {
		if value == "" {
			delete(api.node.Annotations, name)
		} else {
			api.node.Annotations[name] = value
		}
	}

	api.version++
	api.node.ResourceVersion = strconv.Itoa(api.version)
	api.tell(kind)
}

// tell tells every watch of the Node as it is. A watch that does not take it in time ends, as it does with an API server.
func (api *NodeAPI) tell(kind watch.EventType) {
	event := eventOf(kind, api.node)

	for events := range api.watches {
		if len(events) == backlog {
			close(events)
			delete(api.watches, events)

			continue
		}

		events <- event
	}
}

func eventOf(kind watch.EventType, node *metav1.PartialObjectMetadata) metav1.WatchEvent {
	raw, err := json.Marshal(node)
	if err != nil {
		panic(err) // it is strings only
	}

	return metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw}}
}

func (api *NodeAPI) serveNodes(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()

	if query.Get("fieldSelector") != "metadata.name="+api.Name || !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
		http.Error(w, "a node may read its own Node only, and asks for its metadata", http.StatusForbidden)

		return
	}

	if query.Get("watch") != "" {
		api.serveWatch(w, r)

		return
	}

	api.mu.Lock()
	defer api.mu.Unlock()

	if refused(w, api.refusal["list"]) {
		return
	}

	list := metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
		ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(api.version)},
	}
	if api.node != nil {
		list.Items = append(list.Items, *api.node)
	}

	writeJSON(w, list)
}

func (api *NodeAPI) serveWatch(w http.ResponseWriter, r *http.Request) {
	api.mu.Lock()

	if refused(w, api.refusal["watch"]) {
		api.mu.Unlock()

		return
	}

	events := make(chan metav1.WatchEvent, backlog)
	api.watches[events] = struct{}{}

	// What has happened since the list is what there is now.
	if api.node != nil && r.URL.Query().Get("resourceVersion") != strconv.Itoa(api.version) {
		events <- eventOf(watch.Modified, api.node)
	}

	api.mu.Unlock()

	defer func() {
		api.mu.Lock()
		defer api.mu.Unlock()

		delete(api.watches, events)
	}()

	w.Header().Set("Content-Type", "application/json")

	flush := http.NewResponseController(w).Flush

	for {
		if flush() != nil {
			return
		}

		select {
		case <-r.Context().Done():
			return
		case event, open := <-events:
			if !open || json.NewEncoder(w).Encode(event) != nil {
				return
			}
		}
	}
}

func (api *NodeAPI) servePatch(w http.ResponseWriter, r *http.Request) {
	var patch metav1.PartialObjectMetadata

	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil || r.Header.Get("Content-Type") != string(types.MergePatchType) {
		http.Error(w, "not a merge patch", http.StatusBadRequest)

		return
	}

	api.mu.Lock()
	defer api.mu.Unlock()

	switch {
	case refused(w, api.refusal["patch"]):
		return
	case api.node == nil || r.PathValue("name") != api.Name:
		refused(w, apierrors.NewNotFound(schema.GroupResource{Resource: "nodes"}, r.PathValue("name")))

		return
	}

	api.patches = append(api.patches, patch.Annotations)
	api.annotate(patch.Annotations)
	writeJSON(w, api.node)
}

// refused writes an error as the API server does, if there is one.
func refused(w http.ResponseWriter, err *apierrors.StatusError) bool {
	if err == nil {
		return false
	}

	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	json.NewEncoder(w).Encode(status) //nolint:errcheck // the client may have gone

	return true
}

func writeJSON(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(object) //nolint:errcheck // the client may have gone
}

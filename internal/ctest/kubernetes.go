// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Kubernetes is a Kubernetes API that has Nodes and nothing else: they can be listed and watched. It asks for no credentials.
type Kubernetes struct {
	server *httptest.Server

	mu      sync.Mutex
	nodes   map[string]*corev1.Node
	changes []change
	refusal int
	// news is closed and replaced with every change.
	news chan struct{}
	// done ends the watch that takes it.
	done chan struct{}
}

// change is what a watch is told. The version of the list is the number of changes before.
type change struct {
	kind watch.EventType
	node *corev1.Node
}

// NewKubernetes starts an API without Nodes, which ends with the test.
func NewKubernetes(tb testing.TB) *Kubernetes {
	tb.Helper()

	k := &Kubernetes{nodes: map[string]*corev1.Node{}, news: make(chan struct{}), done: make(chan struct{})}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		// The test sees what is wrong in what it gets.
		if err := k.serve(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})

	k.server = httptest.NewServer(mux)
	tb.Cleanup(k.Stop)

	return k
}

// Kubeconfig writes a kubeconfig with one context, "test", and returns its path.
func (k *Kubernetes) Kubeconfig(tb testing.TB) string {
	tb.Helper()

	return kubeconfig(tb, k.server.URL)
}

func kubeconfig(tb testing.TB, url string) string {
	tb.Helper()

	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: url}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"

	path := filepath.Join(tb.TempDir(), "kubeconfig")
	require.NoError(tb, clientcmd.WriteToFile(*config, path))

	return path
}

// Stop takes the API away.
func (k *Kubernetes) Stop() {
	k.server.CloseClientConnections()
	k.server.Close()
}

// Refuse makes the API answer every list with this code; 0 makes it answer again.
func (k *Kubernetes) Refuse(code int) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.refusal = code
}

// EndWatch waits for a watch and ends it without an error, as an API server does after a while.
func (k *Kubernetes) EndWatch() { k.done <- struct{}{} }

// Set adds or changes a Node.
func (k *Kubernetes) Set(node *corev1.Node) {
	k.mu.Lock()
	defer k.mu.Unlock()

	kind := watch.Modified
	if k.nodes[node.Name] == nil {
		kind = watch.Added
	}

	k.nodes[node.Name] = node
	k.tell(change{kind, node})
}

// Delete deletes a Node.
func (k *Kubernetes) Delete(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()

	node := k.nodes[name]
	delete(k.nodes, name)
	k.tell(change{watch.Deleted, node})
}

func (k *Kubernetes) tell(change change) {
	k.changes = append(k.changes, change)

	close(k.news)
	k.news = make(chan struct{})
}

func (k *Kubernetes) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")

	if r.URL.Query().Get("watch") != "" {
		return k.serveWatch(w, r)
	}

	k.mu.Lock()
	defer k.mu.Unlock()

	if k.refusal != 0 {
		w.WriteHeader(k.refusal)

		return json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Code: int32(k.refusal), Reason: metav1.StatusReason(http.StatusText(k.refusal)),
			Message: `nodes is forbidden: User "test" cannot list resource "nodes"`,
		})
	}

	list := corev1.NodeList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"},
		ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(len(k.changes))},
	}

	for _, node := range k.nodes {
		list.Items = append(list.Items, *node)
	}

	return json.NewEncoder(w).Encode(list)
}

func (k *Kubernetes) serveWatch(w http.ResponseWriter, r *http.Request) error {
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

			if err = json.NewEncoder(w).Encode(metav1.WatchEvent{Type: string(change.kind), Object: runtime.RawExtension{Object: change.node}}); err != nil {
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

// KubernetesNode makes a Ready Node that has booted.
func KubernetesNode(name, bootID string) *corev1.Node {
	return &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Status: corev1.NodeStatus{
			NodeInfo:   corev1.NodeSystemInfo{BootID: bootID},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Message: "kubelet is posting ready status"}},
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: "10.6.0.2"},
			},
		},
	}
}

// Report lets a Node carry a report, as internal/kube writes it.
func Report(node *corev1.Node, report specs.NodeReport) *corev1.Node {
	node.Annotations[specs.NodeAnnotation] = report.String()
	node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
		Type: specs.NodeCondition, Status: corev1.ConditionStatus(report.ConditionStatus()), Message: report.ConditionMessage(),
	})

	return node
}

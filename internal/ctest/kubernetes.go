// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// resourceNodes is the name of the Nodes, as it stands in URLs.
const resourceNodes = "nodes"

// Kubernetes is a Kubernetes API that has Nodes, and the objects of coordinated reboots once they are installed. Nodes can be
// read, listed and watched, the others written too. It asks for no credentials and runs no controller.
type Kubernetes struct {
	server *httptest.Server

	mu sync.Mutex
	// objects are there by resource and by name. A resource that is not in it is one that the API does not know.
	objects map[string]map[string]*unstructured.Unstructured
	changes []change
	refusal int
	// before is called before the next request that writes, and then no more.
	before func()
	// news is closed and replaced with every change.
	news chan struct{}
	// done ends the watch that takes it.
	done chan struct{}
}

// change is what a watch is told. The version of a list is the number of changes before, over all resources.
type change struct {
	kind     watch.EventType
	resource string
	object   *unstructured.Unstructured
}

// NewKubernetes starts an API without Nodes, which ends with the test.
func NewKubernetes(tb testing.TB) *Kubernetes {
	tb.Helper()

	k := &Kubernetes{
		objects: map[string]map[string]*unstructured.Unstructured{resourceNodes: {}},
		news:    make(chan struct{}), done: make(chan struct{}),
	}
	k.server = httptest.NewServer(k.handler())
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

// Refuse makes the API answer every list, and every patch of an object with a namespace, with this code; 0 makes it answer
// again.
func (k *Kubernetes) Refuse(code int) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.refusal = code
}

// BeforeWrite calls a function when the next request that writes has come, and before that is looked at. What it writes is
// what the request did not know of.
func (k *Kubernetes) BeforeWrite(do func()) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.before = do
}

// EndWatch waits for a watch and ends it without an error, as an API server does after a while.
func (k *Kubernetes) EndWatch() { k.done <- struct{}{} }

// Set adds or changes a Node.
func (k *Kubernetes) Set(node *corev1.Node) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.store(resourceNodes, toUnstructured(node))
}

// Delete deletes a Node.
func (k *Kubernetes) Delete(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.remove(resourceNodes, name)
}

// store adds or changes an object, which has a new version then.
func (k *Kubernetes) store(resource string, object *unstructured.Unstructured) {
	kind := watch.Modified
	if k.objects[resource][object.GetName()] == nil {
		kind = watch.Added
	}

	k.objects[resource][object.GetName()] = object
	k.tell(change{kind, resource, object})
}

func (k *Kubernetes) remove(resource, name string) {
	object := k.objects[resource][name].DeepCopy()

	delete(k.objects[resource], name)
	k.tell(change{watch.Deleted, resource, object})
}

func (k *Kubernetes) tell(change change) {
	k.changes = append(k.changes, change)
	change.object.SetResourceVersion(strconv.Itoa(len(k.changes)))

	close(k.news)
	k.news = make(chan struct{})
}

// toUnstructured copies an object. It has to have its kind.
func toUnstructured(object runtime.Object) *unstructured.Unstructured {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err) // the objects of tests are sound
	}

	return &unstructured.Unstructured{Object: fields}
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

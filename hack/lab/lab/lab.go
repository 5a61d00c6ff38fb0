// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package lab runs a real Kubernetes control plane and nodes with real kubelet
// code on one machine, and reboots the nodes.
//
// A lab needs no root, no system package and no network but loopback. All its
// state is in one temporary folder, all its components are child processes,
// and nothing of either remains when the lab is closed, fails to start, or is
// killed.
//
// Some components are the running binary started again, so a program that uses
// this package calls component.RunIfAsked first in its main function or its
// TestMain. Those of Kubernetes are the binary that component.Kubernetes finds.
package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

// Lab is a control plane with nodes. Its methods may be called concurrently,
// with the exception of Close and of two methods that concern one node or one
// component.
type Lab struct {
	flags map[component.Name][]string
	// auditPolicy is what the audit log keeps.
	auditPolicy string
	// schedulerRate is how many requests in a second the scheduler may send.
	schedulerRate int
	folder        string
	ports         loopback.Ports
	authority     authority
	admin         *rest.Config
	client        *kubernetes.Clientset
	dynamic       *dynamic.DynamicClient
	mapper        *restmapper.DeferredDiscoveryRESTMapper
	reboots       rest.Interface
	scheme        *runtime.Scheme
	children      map[component.Name]*child
	janitor       *component.Process
	// etcd is the URL of etcd.
	etcd     string
	talosAPI *talosAPI
	// frontAuthority signs for proxies that the API server believes.
	frontAuthority authority

	mu           sync.Mutex
	nodes        map[string]*Node
	coordinators []*Coordinator
	proxies      []*apiproxy.Proxy
}

// defaultSchedulerRate is the scheduler's own default.
const defaultSchedulerRate = 50

// Option changes how a lab is started.
type Option func(*Lab)

// WithFlags appends flags to the command line of a control plane component.
func WithFlags(name component.Name, flags ...string) Option {
	return func(lab *Lab) { lab.flags[name] = append(lab.flags[name], flags...) }
}

// WithAuditPolicy replaces what the audit log keeps. What judges deleted pods and
// changed nodes needs the policy that there is without this option.
func WithAuditPolicy(policy string) Option {
	return func(lab *Lab) { lab.auditPolicy = policy }
}

// WithSchedulerRate sets how many requests in a second the scheduler may send, and
// twice as many at once. It has no flag for that once it has a configuration file.
func WithSchedulerRate(perSecond int) Option {
	return func(lab *Lab) { lab.schedulerRate = perSecond }
}

// Start starts a control plane and returns when it can run DaemonSets. A lab
// that cannot be started has left nothing behind; the error then carries the
// end of the log of the component that failed.
//
// Its state is in the system's folder for temporary files, the path of which
// must be short: unix sockets lie deep inside.
func Start(ctx context.Context, opts ...Option) (*Lab, error) {
	lab := &Lab{
		nodes: map[string]*Node{}, flags: map[component.Name][]string{},
		auditPolicy: auditPolicy, schedulerRate: defaultSchedulerRate,
	}

	for _, opt := range opts {
		opt(lab)
	}

	if err := lab.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to start lab: %w", err), lab.Close())
	}

	return lab, nil
}

func (lab *Lab) start(ctx context.Context) error {
	var err error

	if lab.folder, err = os.MkdirTemp("", "rebound-lab-"); err != nil {
		return fmt.Errorf("failed to create state folder: %w", err)
	}

	if err = os.Mkdir(filepath.Join(lab.folder, "log"), 0o700); err != nil {
		return fmt.Errorf("failed to create log folder: %w", err)
	}

	if lab.janitor, err = component.Start(component.Janitor, lab.folder, lab.log(string(component.Janitor)), lab.folder); err != nil {
		return err
	}

	if err = lab.startTalosAPI(ctx); err != nil {
		return err
	}

	return lab.startControlPlane(ctx)
}

// Close stops everything in the reverse order of its start and removes the
// state folder. It may be called again.
func (lab *Lab) Close() error {
	errs := []error{lab.closeCoordinators()}

	for _, node := range lab.Nodes() {
		errs = append(errs, node.Kill())
	}

	for _, name := range []component.Name{component.Scheduler, component.ControllerManager, component.APIServer, component.Etcd} {
		errs = append(errs, lab.StopComponent(name))
	}

	errs = append(errs, lab.talosAPI.close())

	if lab.folder != "" {
		errs = append(errs, os.RemoveAll(lab.folder))
	}

	if lab.janitor != nil {
		errs = append(errs, lab.janitor.Release())
	}

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("failed to close lab: %w", err)
	}

	return nil
}

// Folder returns the state folder. The logs of the components are in its folder
// "log", and the audit log with them.
func (lab *Lab) Folder() string { return lab.folder }

// Client returns a client that may do everything.
func (lab *Lab) Client() kubernetes.Interface { return lab.client }

// Kubeconfig returns the path of a kubeconfig file that may do everything.
func (lab *Lab) Kubeconfig() string { return lab.path("admin.kubeconfig") }

// Config returns the configuration of a client that may do everything.
func (lab *Lab) Config() *rest.Config { return rest.CopyConfig(lab.admin) }

// Node returns the node with the name, or nil.
func (lab *Lab) Node(name string) *Node {
	lab.mu.Lock()
	defer lab.mu.Unlock()

	return lab.nodes[name]
}

// Nodes returns the nodes by name.
func (lab *Lab) Nodes() []*Node {
	lab.mu.Lock()
	defer lab.mu.Unlock()

	return slices.SortedFunc(maps.Values(lab.nodes), func(a, b *Node) int { return cmp.Compare(a.name, b.name) })
}

// log returns the path of a component's log.
func (lab *Lab) log(name string) string { return lab.path("log", name+".log") }

func (lab *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{lab.folder}, elements...)...)
}

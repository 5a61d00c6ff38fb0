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
// Every component is the running binary started again, so a program that uses
// this package calls component.RunIfAsked first in its main function or its
// TestMain.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apid"
	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/hack/lab/internal/pki"
	"github.com/talos-rebound/rebound/hack/lab/internal/process"
)

// Lab is a control plane with nodes. Its methods may be called concurrently,
// with the exception of Close and of two methods that concern one node.
type Lab struct {
	options   options
	folder    string
	authority *pki.Authority
	admin     *rest.Config
	client    *kubernetes.Clientset

	etcd              *child
	apiServer         *child
	controllerManager *child
	scheduler         *child
	janitor           *process.Process
	talosAPI          *apid.Endpoint

	mu    sync.Mutex
	ports loopback.Ports
	nodes map[string]*Node
}

// Start starts a control plane and returns when it can run DaemonSets. A lab
// that cannot be started has left nothing behind; the error then carries the
// end of the log of the component that failed.
func Start(ctx context.Context, opts ...Option) (*Lab, error) {
	lab := &Lab{
		nodes: map[string]*Node{},
		options: options{
			flags: map[component.Name][]string{},
		},
	}

	for _, opt := range opts {
		opt(&lab.options)
	}

	if err := lab.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to start lab: %w", err), lab.Close())
	}

	return lab, nil
}

func (lab *Lab) start(ctx context.Context) error {
	var err error

	if lab.folder, err = os.MkdirTemp(lab.options.temp, "rebound-lab-"); err != nil {
		return fmt.Errorf("failed to create state folder: %w", err)
	}

	if err = os.Mkdir(filepath.Join(lab.folder, "log"), 0o700); err != nil {
		return fmt.Errorf("failed to create log folder: %w", err)
	}

	if lab.janitor, err = lab.run(component.Janitor, string(component.Janitor), lab.folder); err != nil {
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
	var errs []error

	lab.mu.Lock()

	for _, node := range lab.nodes {
		errs = append(errs, node.Kill())
	}

	lab.mu.Unlock()

	for _, child := range []*child{lab.scheduler, lab.controllerManager, lab.apiServer, lab.etcd} {
		errs = append(errs, child.stop())
	}

	if lab.talosAPI != nil {
		errs = append(errs, lab.talosAPI.Close())
	}

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

// Folder returns the state folder.
func (lab *Lab) Folder() string { return lab.folder }

// Logs returns the paths of the components' logs, sorted.
func (lab *Lab) Logs() []string {
	// The error could only be that of a malformed pattern.
	logs, _ := filepath.Glob(filepath.Join(lab.folder, "log", "*.log"))

	slices.Sort(logs)

	return logs
}

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

	nodes := make([]*Node, 0, len(lab.nodes))

	for _, node := range lab.nodes {
		nodes = append(nodes, node)
	}

	slices.SortFunc(nodes, func(a, b *Node) int {
		if a.name < b.name {
			return -1
		}

		return 1
	})

	return nodes
}

// run starts a component as a child process. The name is that of its log.
func (lab *Lab) run(name component.Name, log string, args ...string) (*process.Process, error) {
	cmd, err := component.Command(name, args...)
	if err != nil {
		return nil, err
	}

	cmd.Dir = lab.folder

	return process.Start(log, cmd, lab.path("log", log+".log"))
}

func (lab *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{lab.folder}, elements...)...)
}

func (lab *Lab) port() (int, error) {
	lab.mu.Lock()
	defer lab.mu.Unlock()

	return lab.ports.Next()
}

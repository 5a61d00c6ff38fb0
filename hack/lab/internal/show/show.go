// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package show is what the commands that show a lab to people have in common:
// what runs on its nodes, the lines in which they tell what happens, and where
// the reports go. The tests of the commands are most of its tests.
package show

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// CNI is the DaemonSet whose pods start slowest, for they have an init
// container. It is in the namespace kube-system.
const CNI = "cni"

// BootLimit bounds the time from the start of a node until its kubelet is
// healthy, and the first start of all nodes and their pods.
const BootLimit = 5 * time.Minute

// Node is a node to be added to a lab.
type Node struct {
	Name string
	// Options say where it runs rebound, if anywhere.
	Options []lab.NodeOption
}

// StockWithAgent makes a node one without rebound in machined, with the agent in
// place of it.
func StockWithAgent(binary string) lab.NodeOption {
	return lab.WithAgent(lab.Agent{Binary: binary, Platform: platform.Talos})
}

// FindProgram returns where a program of rebound's is, which is in cmd under its
// name: at path, or beside the running program if that is empty.
func FindProgram(path, name string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("failed to find the folder of this program: %w", err)
		}

		path = filepath.Join(filepath.Dir(self), name)
	}

	// The machines that start it have a working folder of their own.
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("failed to find %q: %w", path, err)
	}

	if _, err = exec.LookPath(absolute); err != nil {
		return "", fmt.Errorf("no %s: %w: build it with 'go build -C cmd/%s -o %s .', or name it with --%s", name, err, name, absolute, name)
	}

	return absolute, nil
}

// CheckManifests says whether there is a folder with the coordinator's manifests.
func CheckManifests(folder string) error {
	if _, err := os.Stat(folder); err != nil {
		return fmt.Errorf("no manifests of the coordinator: %w: name their folder with --manifests", err)
	}

	return nil
}

// Populate gives a lab the DaemonSets that a node has in any cluster, and adds
// the nodes, each after telling say. What remains is to wait for the pods.
func Populate(ctx context.Context, cluster *lab.Lab, nodes []Node, say func(name string)) error {
	for _, daemonSet := range []*appsv1.DaemonSet{
		lab.DaemonSet(metav1.NamespaceSystem, "kube-proxy", lab.Critical(), lab.HostNetwork()),
		lab.DaemonSet(metav1.NamespaceSystem, CNI, lab.HostNetwork(), lab.InitContainer("install-cni")),
		lab.DaemonSet("monitoring", "node-exporter"),
	} {
		if _, err := cluster.ApplyDaemonSet(ctx, daemonSet); err != nil {
			return err
		}
	}

	for _, node := range nodes {
		say(node.Name)

		if _, err := cluster.AddNode(ctx, node.Name, node.Options...); err != nil {
			return err
		}
	}

	return nil
}

// Log writes lines that begin with the seconds since it was made. Its methods
// may be called concurrently.
type Log struct {
	began time.Time

	mu sync.Mutex
	w  io.Writer
}

// NewLog returns a log that writes to w.
func NewLog(w io.Writer) *Log { return &Log{began: time.Now(), w: w} }

// To makes further lines go to w.
func (l *Log) To(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.w = w
}

// Say writes a line.
func (l *Log) Say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()

	fmt.Fprintln(l.w, Timed(time.Since(l.began), fmt.Sprintf(format, args...)))
}

// Timed returns a line as a log writes it.
func Timed(since time.Duration, text string) string {
	return fmt.Sprintf("%6.1f s  %s", since.Seconds(), text)
}

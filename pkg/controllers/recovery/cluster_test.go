// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

var podResource = schema.GroupResource{Resource: "pods"}

// cluster stands for the API server and for what else works on it. Tests of this package use it because virtual time
// does not pass while a request is on a real network; the same scenarios run against the real one in hack/lab.
type cluster struct {
	mu     sync.Mutex
	bootID string
	// shuttingDown and reportedAt are what the kubelet says on the Node, nodeReads is how often it was asked for.
	shuttingDown bool
	reportedAt   time.Time
	nodeReads    int
	// reading is how long the answer takes, once the Node was looked at.
	reading time.Duration
	// reports are those that were written to the Node, reporting is how long it takes to write one.
	reporting time.Duration
	reports   []specs.NodeReport
	pods      map[string]core.Pod
	changed   chan struct{}
	away      error
	replaces  bool

	// onDelete, if set, is asked before the cluster carries out a delete. It is called without the lock. tried counts the
	// deletes that came so far.
	onDelete func(ctx context.Context, pod core.Pod) error
	tried    int
	// certificate is the generation that a connection must have been made with.
	certificate, onDisk int

	deletes   []string
	events    []string
	watching  int
	opened    int
	made      int
	kubeError error
	// watchError fails every watch, nodeGone every look at the Node.
	watchError error
	nodeGone   bool
	// recording is how long it takes to leave an event.
	recording time.Duration
	// panics names the call that panics, once.
	panics string
	// calls counts the calls by name.
	calls map[string]int
}

// enter counts the call, and panics if that is what is asked for.
func (c *cluster) enter(call string) {
	c.mu.Lock()
	c.calls[call]++
	due := c.panics == call

	if due {
		c.panics = ""
	}

	c.mu.Unlock()

	if due {
		panic(call)
	}
}

func newCluster() *cluster {
	return &cluster{bootID: bootID, pods: map[string]core.Pod{}, changed: make(chan struct{}), replaces: true, calls: map[string]int{}}
}

// set changes the cluster and tells the watches.
func (c *cluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()

	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

// connect is what the controller gets its connections from.
func (c *cluster) connect(string) (recovery.Connection, error) {
	c.enter("connect")
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.kubeError != nil {
		return nil, c.kubeError
	}

	c.opened++

	return &connection{cluster: c, certificate: c.onDisk}, nil
}

// create adds a pod and returns it.
func (c *cluster) create(daemonSet string, edits ...func(*core.Pod)) core.Pod {
	var pod core.Pod

	c.set(func() { pod = c.createLocked(daemonSet, edits...) })

	return pod
}

func (c *cluster) createLocked(daemonSet string, edits ...func(*core.Pod)) core.Pod {
	c.made++

	pod := core.Pod{
		Namespace: "kube-system", Name: fmt.Sprintf("%s-%d", daemonSet, c.made), UID: fmt.Sprintf("uid-%d", c.made), NodeName: nodeName,
		Owner:   core.Owner{Group: "apps", Version: "v1", Kind: "DaemonSet", Name: daemonSet, UID: "uid-" + daemonSet},
		Created: time.Now(), Started: time.Now(), Summary: "Pending",
	}

	for _, edit := range edits {
		edit(&pod)
	}

	c.pods[pod.UID] = pod

	return pod
}

// edit changes a pod.
func (c *cluster) edit(pod core.Pod, change func(*core.Pod)) {
	c.set(func() {
		pod := c.pods[pod.UID]
		change(&pod)
		c.pods[pod.UID] = pod
	})
}

func (c *cluster) remove(pod core.Pod) { c.set(func() { delete(c.pods, pod.UID) }) }

func (c *cluster) has(pod core.Pod) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	_, exists := c.pods[pod.UID]

	return exists
}

func (c *cluster) deleted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()

	return slices.Clone(c.deletes)
}

func (c *cluster) recorded() []string {
	c.mu.Lock()
	defer c.mu.Unlock()

	return slices.Clone(c.events)
}

// tries returns how many deletes were tried.
func (c *cluster) tries() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.tried
}

// watches returns the number of watches that are open.
func (c *cluster) watches() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.watching
}

func (c *cluster) connections() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.opened
}

// connection is one connection to the cluster.
type connection struct {
	*cluster

	certificate int
}

// check is what every request has to pass.
func (c *connection) check() error {
	switch {
	case c.away != nil:
		return c.away
	case c.certificate != c.cluster.certificate:
		return apierrors.NewUnauthorized("Unauthorized")
	default:
		return nil
	}
}

func (c *connection) Node(ctx context.Context, _ string) (core.Node, error) {
	c.enter("Node")

	node, reading, err := c.look()

	return node, cmp.Or(takes(reading)(ctx, core.Pod{}), err)
}

func (c *connection) look() (core.Node, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.nodeGone {
		return core.Node{}, 0, apierrors.NewNotFound(schema.GroupResource{Resource: "nodes"}, nodeName)
	}

	c.nodeReads++

	return core.Node{BootID: c.bootID, ShuttingDown: c.shuttingDown, ReportedAt: c.reportedAt}, c.reading, c.check()
}

func (c *connection) WatchPods(ctx context.Context, node string, changed func([]core.Pod)) error {
	c.enter("WatchPods")
	c.set(func() { c.watching++ })
	defer c.set(func() { c.watching-- })

	for {
		c.mu.Lock()
		err := cmp.Or(c.watchError, c.check())
		next := c.changed
		pods := slices.DeleteFunc(slices.Collect(maps.Values(c.pods)), func(pod core.Pod) bool { return pod.NodeName != node })
		c.mu.Unlock()

		if err != nil {
			return err
		}

		changed(pods)

		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

func (c *connection) DeletePod(ctx context.Context, pod core.Pod) error {
	c.enter("DeletePod")
	c.mu.Lock()
	c.tried++
	onDelete, err := c.onDelete, c.check()
	c.mu.Unlock()

	if err != nil {
		return err
	}

	if onDelete != nil {
		if err := onDelete(ctx, pod); err != nil {
			return err
		}
	}

	err = apierrors.NewNotFound(podResource, pod.Name)

	c.set(func() {
		if _, exists := c.pods[pod.UID]; !exists {
			return
		}

		err = nil
		c.deletes = append(c.deletes, pod.Name)
		delete(c.pods, pod.UID)

		if c.replaces {
			c.createLocked(pod.Owner.Name)
		}
	})

	return err
}

func (c *connection) RecordDeletion(ctx context.Context, pod core.Pod, reason string, _ time.Time) error {
	c.enter("RecordDeletion")

	if err := takes(c.recording)(ctx, pod); err != nil {
		return err
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	c.events = append(c.events, pod.Owner.Name+": "+reason)

	return nil
}

func (c *connection) ReportRecovery(ctx context.Context, _ string, report specs.NodeReport, _ time.Time) error {
	c.enter("ReportRecovery")

	if err := takes(c.reporting)(ctx, core.Pod{}); err != nil {
		return err
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	if err := c.check(); err != nil {
		return err
	}

	c.reports = append(c.reports, report)

	return nil
}

func (c *connection) Close() { c.enter("Close") }

// takes is an onDelete that takes its time.
func takes(d time.Duration) func(context.Context, core.Pod) error {
	return func(ctx context.Context, _ core.Pod) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

// fails is an onDelete that does.
func fails(err error) func(context.Context, core.Pod) error {
	return func(context.Context, core.Pod) error { return err }
}

// answersLate is an onDelete whose answer was on its way when the request was cancelled.
func answersLate(ctx context.Context, _ core.Pod) error {
	<-ctx.Done()

	return nil
}

// leftover makes a pod one that the shutdown before this boot left behind.
func leftover(pod *core.Pod) {
	pod.Failed, pod.Reason = true, "NodeShutdown"
	pod.Created, pod.Started = pod.Created.Add(-time.Hour), pod.Started.Add(-time.Hour)
}

// rejected makes a pod one that the kubelet does not admit.
func rejected(pod *core.Pod) { pod.Failed, pod.Reason = true, "UnexpectedAdmissionError" }

func ready(pod *core.Pod) { pod.Ready, pod.Summary = true, "Running" }

// become waits until the only living pod of the DaemonSet is there and changes it.
func (c *cluster) become(t *testing.T, daemonSet string, change func(*core.Pod)) {
	t.Helper()

	c.mu.Lock()

	var found []core.Pod

	for _, pod := range c.pods {
		if pod.Owner.Name == daemonSet && !pod.Failed {
			found = append(found, pod)
		}
	}

	c.mu.Unlock()

	require.Len(t, found, 1)
	c.edit(found[0], change)
}

var errAway = errors.New("dial tcp 127.0.0.1:6443: connect: connection refused")

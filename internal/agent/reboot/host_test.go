// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/agent/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const node = "worker-1"

// host is a machine with an agent on it, and what it has of an API server, in one bubble. What the agent does is looked at
// while it waits.
type host struct {
	*testing.T

	rebooter *reboot.Rebooter
	logs     *observer.ObservedLogs
	start    time.Time

	// mu is for what the test changes while the agent waits for a time. What the agent changes is looked at once it waits.
	mu sync.Mutex

	// bootID is what the kernel says, status what the agent does.
	bootID  string
	bootErr error
	status  reboot.Status

	// node is the Node, and news what the watch is told of. Without a watch only the first look tells anything.
	node     *metav1.PartialObjectMetadata
	version  int
	news     chan *metav1.PartialObjectMetadata
	deaf     bool
	connects int
	open     int
	reports  []v1alpha1.AgentReport
	writeErr error
	// answers is how long the answer to a report takes that was carried out.
	answers   time.Duration
	rebootErr error
	checkErr  error
	// reboots are when the machine was asked to reboot.
	reboots []time.Duration

	tell func(wanted bool, reason string)
}

// run runs an agent in a bubble until the test is done, and then holds that nothing of it is left.
func run(t *testing.T, test func(h *host), edits ...func(*host)) {
	t.Helper()
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		h := &host{T: t, logs: logs, bootID: thisBoot, start: time.Now(), news: make(chan *metav1.PartialObjectMetadata, 100)}
		h.rebooter = &reboot.Rebooter{
			Node: node, Sentinels: []reboot.Sentinel{h},
			BootID:  h.boot,
			Connect: h.connect, Reboot: h.reboot, Check: h.check,
			Status: func(status reboot.Status) { h.change(func() { h.status = status }) },
			Logger: zap.New(core),
		}

		for _, edit := range edits {
			edit(h)
		}

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})

		go func() {
			defer close(ended)
			h.rebooter.Run(ctx)
		}()

		synctest.Wait()
		test(h)
		cancel()
		<-ended

		if h.open != 0 {
			t.Errorf("%d connections are open", h.open)
		}
	})
}

// Watch implements reboot.Sentinel.
func (h *host) Watch(ctx context.Context, tell func(bool, string)) {
	h.tell = tell
	<-ctx.Done()
}

// says makes the sentinel say it.
func (h *host) says(wanted bool, reason string) {
	h.tell(wanted, reason)
	synctest.Wait()
}

// change changes the host, or what it has of the API server.
func (h *host) change(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()

	change()
}

func (h *host) boot() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.bootID, h.bootErr
}

func (h *host) connect() (reboot.Connection, error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	h.connects++
	h.open++

	return (*connection)(h), nil
}

func (h *host) check(context.Context) error {
	var err error

	h.change(func() { err = h.checkErr })

	return err
}

func (h *host) reboot(ctx context.Context) error {
	var err error

	h.change(func() {
		h.reboots = append(h.reboots, time.Since(h.start))
		err = h.rebootErr
	})

	if errors.Is(err, errHangs) {
		<-ctx.Done()

		return context.Cause(ctx)
	}

	return err
}

var errHangs = errors.New("it hangs")

// annotates sets an annotation of the Node, which it makes.
func (h *host) annotates(name, value string) {
	h.change(func() { (*connection)(h).set(name, value) })
	synctest.Wait()
}

func (h *host) grants(value string) { h.annotates(v1alpha1.GrantAnnotation, value) }

// after lets time pass. What the test has looked at before may change in it.
func (h *host) after(d time.Duration) {
	h.change(func() {})
	time.Sleep(d)
	synctest.Wait()
}

func (h *host) logged(message string) int { return h.logs.FilterMessage(message).Len() }

// said is what the Node says of the agent.
func (h *host) said() v1alpha1.AgentReport {
	if len(h.reports) == 0 {
		return v1alpha1.AgentReport{}
	}

	return h.reports[len(h.reports)-1]
}

// connection is one to the API server.
type connection host

func (c *connection) set(name, value string) {
	if c.node == nil {
		c.node = &metav1.PartialObjectMetadata{}
	}

	c.node = c.node.DeepCopy()
	metav1.SetMetaDataAnnotation(&c.node.ObjectMeta, name, value)

	c.version++
	c.node.ResourceVersion = strconv.Itoa(c.version)

	if !c.deaf {
		c.news <- c.node
	}
}

// WatchNode implements reboot.Connection.
func (c *connection) WatchNode(ctx context.Context, _ string, changed func(*metav1.PartialObjectMetadata)) error {
	var (
		node *metav1.PartialObjectMetadata
		deaf bool
	)

	(*host)(c).change(func() { node, deaf = c.node, c.deaf })
	changed(node)

	if deaf {
		return errors.New("no watch")
	}

	for {
		select {
		case <-ctx.Done():
			return nil
		case node := <-c.news:
			changed(node)
		}
	}
}

// AnnotateNode implements reboot.Connection.
func (c *connection) AnnotateNode(_ context.Context, _, name, value string) (*metav1.PartialObjectMetadata, error) {
	node, err := c.report(name, value)
	time.Sleep(c.answers)

	return node, err
}

func (c *connection) report(name, value string) (*metav1.PartialObjectMetadata, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.writeErr != nil {
		return nil, c.writeErr
	}

	report, err := v1alpha1.ParseAgentReport(value)
	if err != nil {
		return nil, err
	}

	c.reports = append(c.reports, report)
	c.set(name, value)

	return c.node, nil
}

// Close implements reboot.Connection.
func (c *connection) Close() { (*host)(c).change(func() { c.open-- }) }

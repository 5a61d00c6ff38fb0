// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// rebootPath is where a reboot is asked for. Its answer is a JSON object for
// each step, the last of which says that it was the last.
const rebootPath = "/nodes/{node}/reboot"

const (
	// headerTimeout is for how long a client may be silent.
	headerTimeout = 10 * time.Second
	// shutdownLimit is for how long a client may take to hear the end.
	shutdownLimit = time.Second
)

// step is something that happens in a reboot.
type step struct {
	// Text says what happens.
	Text string `json:"text,omitempty"`
	// Seconds is how long ago the reboot began.
	Seconds float64 `json:"seconds"`
	// Last says that nothing more will happen.
	Last bool `json:"last,omitempty"`
	// Error is why the reboot has failed; empty unless it has.
	Error string `json:"error,omitempty"`
}

// control takes orders for a lab on a unix socket.
type control struct {
	cluster *lab.Lab
	log     *log
	socket  string
	server  *http.Server
	served  chan error

	// ctx is the lab's. Reboots end with it, not with whoever asked for them.
	ctx     context.Context
	cancel  context.CancelFunc
	reboots sync.WaitGroup

	mu        sync.Mutex
	rebooting map[string]struct{}
}

// serve takes orders until it is closed.
func serve(ctx context.Context, cluster *lab.Lab, log *log) (*control, error) {
	c := &control{
		cluster:   cluster,
		log:       log,
		socket:    filepath.Join(cluster.Folder(), "control.sock"),
		served:    make(chan error, 1),
		rebooting: map[string]struct{}{},
	}

	c.ctx, c.cancel = context.WithCancel(ctx)

	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", c.socket)
	if err != nil {
		c.cancel()

		return nil, fmt.Errorf("failed to listen on %q: %w", c.socket, err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST "+rebootPath, c.handleReboot)

	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}

	go func() { c.served <- c.server.Serve(listener) }()

	return c, nil
}

// close ends the reboots that are going on, and tells those who wait for them.
func (c *control) close(ctx context.Context) error {
	c.cancel()
	c.reboots.Wait()

	// The handlers have only to pass on what happened.
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()

	err := c.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = c.server.Close()
	}

	if served := <-c.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}

	if err != nil {
		return fmt.Errorf("failed to stop taking orders: %w", err)
	}

	return nil
}

func (c *control) handleReboot(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("node")
	node := c.cluster.Node(name)

	if node == nil {
		http.Error(w, fmt.Sprintf("there is no node %q: the lab has %s", name, strings.Join(c.names(), ", ")), http.StatusNotFound)

		return
	}

	if !c.begin(name) {
		http.Error(w, fmt.Sprintf("node %q is rebooting already", name), http.StatusConflict)

		return
	}

	// Nobody may be there any more to hear of it: the reboot does not wait.
	steps := make(chan step, maxSteps)

	c.reboots.Go(func() {
		defer close(steps)
		defer c.end(name)

		c.reboot(node, r.URL.Query().Has("hard"), steps)
	})

	forward(w, r, steps)
}

// forward passes steps on until there are no more, or nobody listens.
func forward(w http.ResponseWriter, r *http.Request, steps <-chan step) {
	controller := http.NewResponseController(w)
	encoder := json.NewEncoder(w)

	for {
		select {
		case <-r.Context().Done():
			return
		case s, ok := <-steps:
			if !ok || encoder.Encode(s) != nil || controller.Flush() != nil {
				return
			}
		}
	}
}

func (c *control) names() []string {
	nodes := c.cluster.Nodes()
	names := make([]string, 0, len(nodes))

	for _, node := range nodes {
		names = append(names, node.Name())
	}

	return names
}

// begin returns whether the node may be rebooted: nobody else is about it.
func (c *control) begin(node string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	if _, ok := c.rebooting[node]; ok || c.ctx.Err() != nil {
		return false
	}

	c.rebooting[node] = struct{}{}

	return true
}

func (c *control) end(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	delete(c.rebooting, node)
}

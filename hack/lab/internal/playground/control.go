// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	// rebootPath is where a reboot is asked for. Its answer is a line for each
	// thing that happens, and then errorTrailer.
	rebootPath = "/nodes/{node}/reboot"
	// errorTrailer is why the reboot has failed, escaped as a query is, for a
	// header has no room for the lines of a log. There is none if it has not.
	errorTrailer = "Reboot-Error"

	// rebootLimit bounds a reboot until the kubelet is healthy.
	rebootLimit = 5 * time.Minute

	// headerTimeout is for how long a client may be silent.
	headerTimeout = 10 * time.Second
)

var errTakenDown = errors.New("the lab is being taken down")

// control takes orders for a lab on a unix socket.
type control struct {
	cluster *lab.Lab
	log     *show.Log
	socket  string
	server  *http.Server
	served  chan error

	// ctx is the lab's. Reboots end with it, not with whoever asked for them.
	ctx       context.Context
	cancel    context.CancelFunc
	rebooting sync.Map
}

// serve takes orders until it is closed.
func serve(ctx context.Context, cluster *lab.Lab, log *show.Log) (*control, error) {
	c := &control{cluster: cluster, log: log, socket: filepath.Join(cluster.Folder(), "control.sock"), served: make(chan error, 1)}
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

// close ends the reboots that are going on, which tell those who wait for them.
func (c *control) close(ctx context.Context) error {
	c.cancel()

	err := c.server.Shutdown(ctx)

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
		nodes := c.cluster.Nodes()
		names := make([]string, len(nodes))

		for i, node := range nodes {
			names[i] = node.Name()
		}

		http.Error(w, fmt.Sprintf("there is no node %q: the lab has %s", name, strings.Join(names, ", ")), http.StatusNotFound)

		return
	}

	if _, ok := c.rebooting.LoadOrStore(name, struct{}{}); ok {
		http.Error(w, fmt.Sprintf("node %q is rebooting already", name), http.StatusConflict)

		return
	}

	defer c.rebooting.Delete(name)

	began := time.Now()
	say := func(text string) {
		text = name + ": " + text
		c.log.Say("%s", text)

		// Nobody may be there any more to hear of it: the reboot goes on.
		fmt.Fprintln(w, show.Timed(time.Since(began), text))
		http.NewResponseController(w).Flush() //nolint:errcheck // as above
	}

	w.Header().Set("Trailer", errorTrailer)

	err := reboot(c.ctx, node, r.URL.Query().Has("hard"), say) //nolint:contextcheck // it ends with the lab, not with the order
	if err != nil && c.ctx.Err() != nil {
		err = errTakenDown
	}

	if err != nil {
		c.log.Say("%s: %s", name, err)
		w.Header().Set(errorTrailer, url.QueryEscape(err.Error()))
	}
}

// reboot returns when the kubelet is healthy again. A node that is down is
// booted.
func reboot(ctx context.Context, node *lab.Node, hard bool, say func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, rebootLimit, errors.New("not healthy after "+rebootLimit.String()))
	defer cancel()

	var err error

	switch {
	case !node.Running():
		say("is down")
	case hard:
		say("losing power")

		err = node.Kill()
	default:
		say("shutting down")

		err = node.Stop(ctx)
	}

	if err != nil {
		return err
	}

	say("booting")

	if err = node.Start(ctx); err != nil {
		return err
	}

	say("registered, waiting for its kubelet to be healthy")

	if _, err = node.WaitKubeletHealthy(ctx); err != nil {
		return err
	}

	say("kubelet is healthy")

	return nil
}

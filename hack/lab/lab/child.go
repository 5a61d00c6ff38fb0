// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/process"
)

const (
	// startTimeout bounds the start of one component.
	startTimeout = 90 * time.Second
	// readyInterval is how often a component is asked whether it is ready.
	readyInterval = 100 * time.Millisecond
	// stopGrace is the time in which a component may stop by itself. The API
	// server would take a minute; there is nothing in a lab worth that wait.
	stopGrace = time.Second
)

// child is a control plane component that can be stopped and started again.
type child struct {
	lab    *Lab
	name   component.Name
	args   []string
	health string
	tls    *tls.Config

	process *process.Process
}

// start starts the component and waits until it is ready.
func (child *child) start(ctx context.Context) error {
	if child.process != nil && child.process.Running() {
		return nil
	}

	var err error

	child.process, err = child.lab.run(child.name, string(child.name), append(child.args, child.lab.options.flags[child.name]...)...)
	if err != nil {
		return err
	}

	return child.waitReady(ctx)
}

// stop stops the component if it runs. A nil child was never started.
func (child *child) stop() error {
	if child == nil || child.process == nil {
		return nil
	}

	return child.process.Stop(stopGrace)
}

func (child *child) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s was not ready within %s", child.name, startTimeout))
	defer cancel()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: child.tls}}
	defer client.CloseIdleConnections()

	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()

	for {
		if isReady(ctx, client, child.health) {
			return nil
		}

		select {
		case <-child.process.Ended():
			return child.process.Err()
		case <-ctx.Done():
			return fmt.Errorf("failed to wait for %s: %w", child.name, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

func isReady(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}

	response, err := client.Do(request)
	if err != nil {
		return false
	}

	defer response.Body.Close() //nolint:errcheck // read below

	io.Copy(io.Discard, response.Body) //nolint:errcheck // for the connection to be used again

	return response.StatusCode == http.StatusOK
}

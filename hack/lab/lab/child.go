// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/hack/lab/component"
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

	process *component.Process
}

// start starts the component and waits until it is ready.
func (child *child) start(ctx context.Context) error {
	if child.process != nil && child.process.Running() {
		return nil
	}

	var err error

	if child.process, err = component.Start(child.name, child.lab.folder, child.lab.log(string(child.name)), child.args...); err != nil {
		return err
	}

	return child.waitReady(ctx)
}

// stop stops the component if it runs. A nil child was never made.
func (child *child) stop() error {
	if child == nil || child.process == nil {
		return nil
	}

	return child.process.Stop(stopGrace)
}

// kill ends the component at once, as a crash does.
func (child *child) kill() error {
	if child == nil || child.process == nil {
		return nil
	}

	return child.process.Kill()
}

func (child *child) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s was not ready within %s", child.name, startTimeout))
	defer cancel()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: child.tls}}
	defer client.CloseIdleConnections()

	err := wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) {
		if !child.process.Running() {
			return false, child.process.Err()
		}

		return isReady(ctx, client, child.health), nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("failed to wait for %s: %w", child.name, context.Cause(ctx))
	}

	return err
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

	defer response.Body.Close() //nolint:errcheck // the body is not read

	return response.StatusCode == http.StatusOK
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	talosv1alpha1 "github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// COSI returns the node's COSI state as the Talos API shows it: to read and to
// watch, not to write. It belongs to the current boot; after a reboot, ask
// again. A watch ends with an error when the node goes down.
func (node *Node) COSI() (state.State, error) {
	return node.open(node.config.Root.APISocket())
}

// Recovery returns the state in which rebound's resources are: that of the
// agent if the node has one, else the node's own. It is as short-lived.
func (node *Node) Recovery() (state.State, error) {
	if node.agent != nil {
		return node.open(node.AgentSocket())
	}

	return node.COSI()
}

func (node *Node) open(socket string) (state.State, error) {
	node.mu.Lock()
	defer node.mu.Unlock()

	if api, ok := node.apis[socket]; ok {
		return api, nil
	}

	api, err := talosapi.OpenLocal(socket, true)
	if err != nil {
		return nil, fmt.Errorf("failed to connect to node %q: %w", node.name, err)
	}

	if node.apis == nil {
		node.apis = map[string]*talosapi.Local{}
	}

	node.apis[socket] = api

	return api, nil
}

// disconnect closes the connections to the machine. It must be called with mu
// held.
func (node *Node) disconnect() error {
	errs := make([]error, 0, len(node.apis))

	for _, api := range node.apis {
		errs = append(errs, api.Close())
	}

	node.apis = nil

	return errors.Join(errs...)
}

// WaitKubeletHealthy waits until the kubelet passes Talos' health check, and
// returns the time at which it did according to the node.
func (node *Node) WaitKubeletHealthy(ctx context.Context) (time.Time, error) {
	st, err := node.COSI()
	if err != nil {
		return time.Time{}, err
	}

	ctx, cancel := node.whileRunning(ctx)
	defer cancel()

	service, err := st.WatchFor(ctx, talosv1alpha1.NewService("kubelet").Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		service, ok := res.(*talosv1alpha1.Service)

		return ok && service.TypedSpec().Running && service.TypedSpec().Healthy, nil
	}))
	if err != nil {
		return time.Time{}, fmt.Errorf("failed to wait for the kubelet of node %q: %w", node.name, errors.Join(err, context.Cause(ctx)))
	}

	return service.Metadata().Updated(), nil
}

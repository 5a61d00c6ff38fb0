// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package apid is the way into a lab for clients of the Talos API: one endpoint
// on loopback, as that of a control plane node, which passes calls on to the
// node that they name.
//
// The machine behind the endpoint itself runs neither a kubelet nor rebound.
// All it has is the list of the cluster's members, the nodes of the lab, which
// it is not one of: whoever checks every member checks every node.
package apid

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"github.com/siderolabs/talos/pkg/machinery/role"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

const (
	// contextName is the name of the only context in each talosconfig.
	contextName = "rebound-lab"
	// clientLifetime is for how long a talosconfig is good; longer than a lab.
	clientLifetime = 365 * 24 * time.Hour
)

// firstAddress is the first node's, as in a cluster of talosctl cluster create.
var firstAddress = netip.MustParseAddr("10.5.0.2")

// Endpoint is the Talos API of a lab. Its methods may be called concurrently.
type Endpoint struct {
	authority *talosapi.Authority
	members   *members
	endpoint  *talosapi.Endpoint
	stopLocal func() error

	mu      sync.Mutex
	next    netip.Addr
	targets map[string]string
}

// Listen starts an endpoint without members. The folder is for the socket of
// the machine behind it.
func Listen(ctx context.Context, folder string) (*Endpoint, error) {
	authority, err := talosapi.NewAuthority()
	if err != nil {
		return nil, err
	}

	// talosctl asks no machine that it was not told to ask: the one behind the
	// endpoint is at the endpoint's own address.
	socket := filepath.Join(folder, "control-plane.sock")
	e := &Endpoint{authority: authority, next: firstAddress, targets: map[string]string{loopback.Address: target(socket)}}

	if e.members, err = newMembers(ctx); err != nil {
		return nil, err
	}

	// The caller's context may be for the start alone.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))

	wait, err := talosapi.Serve(serving, talosapi.NewMachine(talosapi.MachineConfig{
		State:   e.members.state,
		Version: gendata.VersionTag,
	}), socket)
	if err != nil {
		stop()

		return nil, err
	}

	e.stopLocal = func() error {
		stop()

		return wait()
	}

	//nolint:contextcheck // it serves until it is closed
	if e.endpoint, err = talosapi.Listen(talosapi.EndpointConfig{
		Address:   loopback.HostPort(0),
		Authority: authority,
		Local:     target(socket),
		Resolve:   e.resolve,
	}); err != nil {
		return nil, errors.Join(err, e.stopLocal())
	}

	return e, nil
}

// Add makes a node a member of the cluster and returns its address. Nothing
// listens there: name and address both lead to the API on the socket.
func (e *Endpoint) Add(ctx context.Context, name, socket string) (netip.Addr, error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	address := e.next

	if err := e.members.add(ctx, name, address); err != nil {
		return netip.Addr{}, err
	}

	e.next = address.Next()
	e.targets[name] = target(socket)
	e.targets[address.String()] = target(socket)

	return address, nil
}

// WriteTalosconfig writes a client configuration with the roles to path. It
// names the endpoint and no nodes.
func (e *Endpoint) WriteTalosconfig(path string, roles role.Set) error {
	config, err := e.authority.Config(contextName, talosapi.ClientConfig{
		Endpoints: []string{e.endpoint.Address()},
		Roles:     roles,
		Lifetime:  clientLifetime,
	})
	if err != nil {
		return err
	}

	if err = config.Save(path); err != nil {
		return fmt.Errorf("failed to write talosconfig %q: %w", path, err)
	}

	return nil
}

// Close ends every call and closes the endpoint. It may be called again.
func (e *Endpoint) Close() error {
	if err := errors.Join(e.endpoint.Close(), e.stopLocal()); err != nil {
		return fmt.Errorf("failed to close Talos API: %w", err)
	}

	return nil
}

func (e *Endpoint) resolve(node string) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()

	found, ok := e.targets[node]

	return found, ok
}

// target is how gRPC calls a unix socket.
func target(socket string) string { return "unix://" + socket }

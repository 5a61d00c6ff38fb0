// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package talos is the coordinator's client of the Talos API: it reboots a node, and finds out beforehand whether that can work
// and whether etcd can do without the node. It decides nothing, and it tries nothing twice: whoever calls it knows what has
// happened in between.
package talos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"google.golang.org/grpc"

	"github.com/talos-rebound/rebound/internal/talosconfig"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// timeout is how long a call may take, the connection to an endpoint included. A machine answers at once: it does not wait for
// the reboot that it begins.
const timeout = 10 * time.Second

// Client calls the Talos API with what is in a talosconfig at the time of the call. It keeps no connection, and may be used
// concurrently.
type Client struct {
	path    string
	timeout time.Duration
}

// New returns a client for the talosconfig at path. The file may come later and may be replaced at any time: it is read for
// every call.
func New(path string) *Client { return &Client{path: path, timeout: timeout} }

// Node is a machine to call.
type Node struct {
	// Name is that of the Node object.
	Name string
	// Address is an IP address of the machine, as the Node says. The node itself writes it there, and may lie.
	Address string
}

// Reboot asks the machine at the node's address to reboot gracefully, if it says that it is this node: a Node with the address
// of another one must not reboot that. It returns once the machine has said that it will, and at the latest after ten seconds.
//
// With a RefusedError or an UnsentError nothing was rebooted. After any other error nobody knows: the answer may have been
// lost. The request is never sent again by itself. Asking again in the same boot does no harm, but a machine that has rebooted in
// between reboots once more.
func (c *Client) Reboot(ctx context.Context, node Node) error {
	err := c.call(ctx, func(ctx context.Context, s *session) error {
		to, err := s.to(ctx, node.Address)
		if err != nil {
			return err
		}

		if err = s.identify(ctx, to, node.Name); errors.As(err, new(RefusedError)) {
			return err
		} else if err != nil {
			return UnsentError{err}
		}

		// What was asked until now has changed nothing.
		s.sent.Store(false)

		return s.explain(ctx, s.talos.Reboot(to))
	})
	if err != nil {
		return wrap(err, "failed to reboot %q", node.Address)
	}

	return nil
}

// Check returns an error if a reboot of the node could not be asked for now: the talosconfig cannot be used, has no role that may
// reboot, or the node does not answer, or it is another one. It changes nothing, and takes ten seconds at most.
func (c *Client) Check(ctx context.Context, node Node) error {
	err := c.call(ctx, func(ctx context.Context, s *session) error {
		to, err := s.to(ctx, node.Address)
		if err != nil {
			return err
		}

		// Every reader is told the name. That this one may reboot as well only its certificate says.
		if err = s.mayReboot(); err != nil {
			return err
		}

		return s.identify(ctx, to, node.Name)
	})
	if err != nil {
		return wrap(err, "failed to check the Talos API of %q", node.Address)
	}

	return nil
}

// session is a connection for one call of a Client's method.
type session struct {
	configuration

	talos *client.Client
	sent  sent
}

// call opens a session for do, whose context ends with the time that a call may take.
func (c *Client) call(ctx context.Context, do func(context.Context, *session) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// With a deadline in ctx the server would end the call as well, and which of the two says so first is a matter of luck.
	timer := time.AfterFunc(c.timeout, func() { cancel(fmt.Errorf("no answer within %s", c.timeout)) })
	defer timer.Stop()

	config, err := load(c.path, time.Now())
	if err != nil {
		return RefusedError{err}
	}

	s := session{configuration: config}

	options := append(talosconfig.DialOptions(),
		grpc.WithContextDialer(dial), grpc.WithDisableRetry(), grpc.WithStatsHandler(&s.sent))

	if s.talos, err = client.New(ctx, client.WithConfig(config.file), client.WithGRPCDialOptions(options...)); err != nil {
		return RefusedError{config.unusable(err)}
	}

	defer s.talos.Close() //nolint:errcheck // it changes no answer

	return do(ctx, &s)
}

// identify returns an error if the machine that to addresses is not the node of that name.
func (s *session) identify(ctx, to context.Context, name string) error {
	nodename, err := safe.StateGetByID[*k8s.Nodename](to, s.talos.COSI, k8s.NodenameID)

	switch {
	case state.IsNotFoundError(err):
		return errors.New("the machine does not know the name of its Node yet")
	case err != nil:
		return s.explain(ctx, err)
	}

	if is := nodename.TypedSpec().Nodename; is != name {
		return RefusedError{fmt.Errorf("the machine there is node %q, and not %q", specs.Printable(is, maxWords), name)}
	}

	return nil
}

// to addresses a request to one machine. Without an address, or with one that every machine takes for itself, the endpoint
// would answer in place of the node.
func (s *session) to(ctx context.Context, node string) (context.Context, error) {
	address, err := netip.ParseAddr(node)
	if err != nil {
		return nil, RefusedError{errors.New("it is no IP address")}
	}

	switch address = address.Unmap(); {
	case address.IsUnspecified(), address.IsMulticast(), address == ipv4Localhost, address == netip.IPv6Loopback():
		return nil, RefusedError{errors.New("it is not the address of one node")}
	default:
		return client.WithNode(ctx, address.String()), nil
	}
}

var ipv4Localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

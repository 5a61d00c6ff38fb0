// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// EndpointConfig says where an endpoint is and which machines it leads to.
type EndpointConfig struct {
	// Address is the TCP address to listen on. "127.0.0.1:0" picks a free port.
	Address string

	// Authority signs the endpoint's certificate, and those of the clients that it takes in.
	Authority *Authority

	// Local is the gRPC target, such as "unix:///run/machine.sock", of the machine that answers a call that names no node.
	Local string

	// Resolve returns the gRPC target of the machine that answers for a node, or false if there is none of that name.
	// It is called for every call, concurrently. A nil Resolve leaves an endpoint like that of a worker, which refuses
	// every call that names a node.
	Resolve func(node string) (target string, ok bool)
}

// Endpoint is the apid of a control plane node.
type Endpoint struct {
	address string
	close   func() error
}

// Listen starts an endpoint. It serves until it is closed. Machines may come up later, go away and come back: calls for
// one that is away fail at once with Unavailable.
func Listen(config EndpointConfig) (*Endpoint, error) {
	switch {
	case config.Authority == nil:
		return nil, errors.New("an endpoint needs an authority")
	case config.Local == "":
		return nil, errors.New("an endpoint needs a local machine")
	}

	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", config.Address)
	if err != nil {
		return nil, fmt.Errorf("failed to listen on %q: %w", config.Address, err)
	}

	tlsConfig, err := config.Authority.serverTLS(listener.Addr())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}

	var (
		machines connections
		routes   = &router{local: config.Local, resolve: config.Resolve, connections: &machines}
		server   = grpc.NewServer(
			grpc.Creds(credentials.NewTLS(tlsConfig)),
			grpc.ForceServerCodecV2(proxy.Codec()),
			grpc.UnknownServiceHandler(proxy.TransparentHandler(routes.direct, proxy.WithStreamedDetector(isStreamed))),
			grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
			grpc.WaitForHandlers(true),
		)
		served = make(chan error, 1)
	)

	go func() { served <- server.Serve(listener) }()

	return &Endpoint{
		address: listener.Addr().String(),
		close: sync.OnceValue(func() error {
			server.Stop()

			err := <-served
			if errors.Is(err, grpc.ErrServerStopped) {
				err = nil
			}

			return errors.Join(err, machines.close())
		}),
	}, nil
}

// Address returns the host and the port that the endpoint listens on.
func (e *Endpoint) Address() string {
	return e.address
}

// Close cancels the calls that are under way, waits for them, and closes the connections to the machines. The error is
// also that of serving, had it ended before; closing again returns the same one.
func (e *Endpoint) Close() error {
	return e.close()
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"errors"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// EndpointConfig says where an endpoint is and which machines it leads to.
type EndpointConfig struct {
	// Address is the TCP address to listen on, which has to be on loopback. "127.0.0.1:0" picks a free port.
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
	server  *grpc.Server
	address string
	wait    func() error
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

	tlsConfig, err := config.Authority.serverTLS()
	if err != nil {
		return nil, err
	}

	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(tlsConfig)),
		grpc.ForceServerCodecV2(proxy.Codec()),
		grpc.UnknownServiceHandler(proxy.TransparentHandler((&router{local: config.Local, resolve: config.Resolve}).direct)),
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
		grpc.WaitForHandlers(true),
	)

	wait, address, err := serve(context.Background(), server, "tcp", config.Address)
	if err != nil {
		return nil, err
	}

	return &Endpoint{server: server, address: address.String(), wait: wait}, nil
}

// Address returns the host and the port that the endpoint listens on.
func (e *Endpoint) Address() string { return e.address }

// Close cancels the calls that are under way and waits for them. If serving had ended before, the error says why.
// Closing again returns the same.
func (e *Endpoint) Close() error {
	e.server.Stop()

	return e.wait()
}

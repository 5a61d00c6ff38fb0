// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// EndpointConfig says where an endpoint is and which machines it leads to. Only Resolve may be left out.
type EndpointConfig struct {
	// Address is the TCP address to listen on, which has to be on loopback. "127.0.0.1:0" picks a free port.
	Address string

	// Authority signs the endpoint's certificate, and those of the clients that it takes in.
	Authority *Authority

	// Local is the gRPC target, such as "unix:///run/machine.sock", of the machine that answers a call that names no node.
	Local string

	// Resolve returns the gRPC target of the machine that answers for a node, or false if there is none of that name.
	// It is called for every call, concurrently. With a nil Resolve the endpoint is like that of a worker: it refuses
	// every call that names a node.
	Resolve func(node string) (target string, ok bool)
}

// Endpoint stands for the apid of a node.
type Endpoint struct {
	server  *grpc.Server
	address string
	wait    func() error
}

// Listen starts an endpoint. It serves until it is closed. Machines may come up later, go away and come back: calls for
// one that is away fail at once with Unavailable.
func Listen(config EndpointConfig) (*Endpoint, error) {
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

// Serve serves server on the unix socket at path until ctx is done. The server cannot be used again after that. A socket
// that an earlier process left there is replaced. Whatever else is there stays, and is an error.
//
// Clients can connect once Serve has returned. wait blocks until the server has stopped, its handlers have returned and
// the path is free again. Its error says why the server stopped before ctx was done. It may be called more than once.
func Serve(ctx context.Context, server *grpc.Server, path string) (wait func() error, err error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err = os.Remove(path); err != nil {
			return nil, fmt.Errorf("failed to remove old socket: %w", err)
		}
	}

	wait, _, err = serve(ctx, server, "unix", path)
	if err == nil {
		context.AfterFunc(ctx, server.Stop)
	}

	return wait, err
}

// serve serves server until it is stopped. wait blocks until then. Its error says why it ended earlier, if it did.
func serve(ctx context.Context, server *grpc.Server, network, address string) (wait func() error, bound net.Addr, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to listen on %q: %w", address, err)
	}

	var group errgroup.Group

	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}

		return nil
	})

	return group.Wait, listener.Addr(), nil
}

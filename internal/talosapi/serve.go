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

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// Serve serves server on the unix socket at path until ctx is done, and then stops it for good: serving again takes a
// new server. A socket that an earlier process left there is replaced; whatever else is there stays, and is an error.
//
// Clients can connect once Serve has returned. wait blocks until the server has stopped, its handlers have returned and
// the path is free again. It returns an error only if something else than ctx has ended it, and the same one every time.
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

// serve serves server until it is stopped. wait blocks until then and returns why it ended earlier, if it did.
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

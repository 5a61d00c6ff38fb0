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
	"sync"

	"google.golang.org/grpc"
)

// Serve serves server on the unix socket at path until ctx is done, and then stops it for good: serving again takes a
// new server. A socket that an earlier process left there is replaced.
//
// Clients can connect once Serve has returned. wait blocks until the server has stopped, its handlers have returned and
// the path is free again; it returns an error only if that was not for the sake of ctx, and the same one every time.
func Serve(ctx context.Context, server *grpc.Server, path string) (wait func() error, err error) {
	if err = removeSocket(path); err != nil {
		return nil, fmt.Errorf("failed to remove the old socket %q: %w", path, err)
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("failed to listen on %q: %w", path, err)
	}

	var (
		stop    = context.AfterFunc(ctx, server.Stop)
		stopped = make(chan struct{})
		failure error
	)

	go func() {
		defer close(stopped)
		defer stop()

		failure = server.Serve(listener)
	}()

	return sync.OnceValue(func() error {
		<-stopped

		if failure != nil && !errors.Is(failure, grpc.ErrServerStopped) {
			return fmt.Errorf("failed to serve on %q: %w", path, failure)
		}

		return nil
	}), nil
}

// removeSocket removes the socket at path, if there is one. Whatever else is there stays.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if err != nil {
		return err
	}

	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("it is not a socket but %s", info.Mode())
	}

	return os.Remove(path)
}

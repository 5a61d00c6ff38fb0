// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// wire passes on what goes to the API server and comes from it, and counts it:
// handshakes, headers and all.
type wire struct {
	listener net.Listener
	server   string
	cancel   context.CancelFunc
	work     sync.WaitGroup

	bytes       atomic.Int64
	connections atomic.Int64
	// open are the connections that are not closed yet.
	open atomic.Int64
}

func newWire(ctx context.Context, server string) (*wire, error) {
	ctx, cancel := context.WithCancel(ctx)

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(hostIP, "0"))
	if err != nil {
		cancel()

		return nil, fmt.Errorf("failed to listen: %w", err)
	}

	w := &wire{listener: listener, server: server, cancel: cancel}

	w.work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}

			w.connections.Add(1)
			w.work.Go(func() { w.pass(ctx, client) })
		}
	})

	return w, nil
}

func (w *wire) stop() error {
	err := w.listener.Close()

	w.cancel()
	w.work.Wait()

	return err
}

// pass lives until one of the two ends hangs up.
func (w *wire) pass(ctx context.Context, client net.Conn) {
	w.open.Add(1)
	defer w.open.Add(-1)
	defer client.Close() //nolint:errcheck // nothing is left to say

	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.server)
	if err != nil {
		return
	}

	ctx, hungUp := context.WithCancel(ctx)
	defer hungUp()

	closed := context.AfterFunc(ctx, func() {
		client.Close() //nolint:errcheck // nothing is left to say
		server.Close() //nolint:errcheck // nothing is left to say
	})
	defer closed()

	var both sync.WaitGroup

	for _, way := range []struct{ to, from net.Conn }{{server, client}, {client, server}} {
		both.Go(func() {
			defer hungUp()

			io.Copy(counting{way.to, &w.bytes}, way.from) //nolint:errcheck // an end is an end
		})
	}

	both.Wait()
}

type counting struct {
	io.Writer

	bytes *atomic.Int64
}

// Write implements io.Writer.
func (c counting) Write(data []byte) (int, error) {
	n, err := c.Writer.Write(data)
	c.bytes.Add(int64(n))

	return n, err
}

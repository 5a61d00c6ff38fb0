// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/siderolabs/talos/pkg/machinery/client/dialer"
	"google.golang.org/grpc/stats"
)

// sent tells whether a request has been handed to a connection. Until then no endpoint has heard of it.
type sent struct{ atomic.Bool }

var _ stats.Handler = (*sent)(nil)

// TagRPC implements stats.Handler.
func (*sent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (*sent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*sent) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC implements stats.Handler.
func (s *sent) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); ok {
		s.Store(true)
	}
}

// dial connects to an endpoint, through the proxies that talosctl uses.
func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := dialer.DynamicProxyDialer(ctx, address)
	if err != nil {
		return nil, err
	}

	return connection{conn}, nil
}

// connection leaves it to the reader to say that the other side has closed it. An endpoint that does not accept a client's
// certificate says why and closes the connection, which with TLS 1.3 is after the client's side of the handshake. The next
// write fails then, without the reason, and sooner or later than the reason is read.
//
// gRPC cannot set TCP_USER_TIMEOUT on it. A connection that lasts for one call of a few seconds can do without.
type connection struct{ net.Conn }

// Write implements net.Conn.
func (c connection) Write(content []byte) (int, error) {
	if _, err := c.Conn.Write(content); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return 0, err
	}

	return len(content), nil
}

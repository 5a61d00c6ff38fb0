// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"net"
	"sync"
	"sync/atomic"
)

// listener knows its connections, and can break them.
type listener struct {
	net.Listener

	refused atomic.Int64

	mu     sync.Mutex
	broken bool
	conns  map[*connection]struct{}
}

// cut breaks every connection, and those to come for as long as it is on.
func (listener *listener) cut(on bool) {
	listener.mu.Lock()
	defer listener.mu.Unlock()

	listener.broken = on

	if !on {
		return
	}

	for conn := range listener.conns {
		conn.Conn.Close() //nolint:errcheck // it is broken either way
	}

	clear(listener.conns)
}

// Accept implements net.Listener.
func (listener *listener) Accept() (net.Conn, error) {
	for {
		inner, err := listener.Listener.Accept()
		if err != nil {
			return nil, err
		}

		if conn, ok := listener.admit(inner); ok {
			return conn, nil
		}
	}
}

func (listener *listener) admit(inner net.Conn) (net.Conn, bool) {
	listener.mu.Lock()
	defer listener.mu.Unlock()

	if listener.broken {
		listener.refused.Add(1)
		inner.Close() //nolint:errcheck // nothing was said yet

		return nil, false
	}

	conn := &connection{Conn: inner, listener: listener}
	listener.conns[conn] = struct{}{}

	return conn, true
}

// connection is forgotten when it is closed.
type connection struct {
	net.Conn

	listener *listener
}

// Close implements net.Conn.
func (conn *connection) Close() error {
	conn.listener.mu.Lock()
	defer conn.listener.mu.Unlock()

	delete(conn.listener.conns, conn)

	return conn.Conn.Close()
}

// reset closes the connection so that the client is told that it was reset, and
// not that it has ended.
func (conn *connection) reset() {
	if tcp, ok := conn.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // it is closed either way
	}

	conn.Close() //nolint:errcheck // as above
}

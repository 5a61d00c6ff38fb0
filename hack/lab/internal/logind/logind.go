// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package logind plays the part of a Linux system that the kubelet's node
// shutdown manager talks to: a D-Bus with org.freedesktop.login1 on it.
//
// Talos has neither a dbus-daemon nor systemd-logind, and plays both itself
// inside machined. The lab does the same, so that a graceful node shutdown
// runs the kubelet's own code without any system package. It is no general
// D-Bus: it answers the calls that the kubelet and rebound's agent make.
package logind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// InhibitMaxDelay is what the property InhibitDelayMaxUSec says: the longest
// time an inhibitor may hold up a shutdown. The value is Talos' own. It must
// exceed the kubelet's shutdown grace period, or else the kubelet tries to
// write a configuration file for systemd-logind.
const InhibitMaxDelay = 20 * time.Minute

// Server listens on a unix socket and is bus and logind in one.
type Server struct {
	listener *net.UnixListener

	mu         sync.Mutex
	peers      map[*peer]struct{}
	inhibitors []*os.File
	// preparing is what the property PreparingForShutdown says.
	preparing bool
	reboot    func() error
	closed    bool

	serving sync.WaitGroup
}

// Listen starts to serve on the unix socket at path.
func Listen(path string) (*Server, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("failed to listen on %q: %w", path, err)
	}

	server := &Server{
		listener: listener,
		peers:    map[*peer]struct{}{},
	}

	server.serving.Go(server.accept)

	return server, nil
}

// Address returns the bus address in the form DBUS_SYSTEM_BUS_ADDRESS takes.
func (server *Server) Address() string {
	return "unix:path=" + server.listener.Addr().String()
}

// Close disconnects every peer, releases what is held, and waits until nothing
// is served any more.
func (server *Server) Close() error {
	err := server.listener.Close()

	server.mu.Lock()
	server.closed = true

	for p := range server.peers {
		// A peer that has just left has closed its connection itself.
		if closeErr := p.conn.Close(); !errors.Is(closeErr, net.ErrClosed) {
			err = errors.Join(err, closeErr)
		}
	}

	for _, inhibitor := range server.inhibitors {
		err = errors.Join(err, inhibitor.Close())
	}

	server.inhibitors = nil
	server.mu.Unlock()

	server.serving.Wait()

	return err
}

// Shutdown emits PrepareForShutdown(true) and waits until every inhibitor that
// was handed out has been released, which is when the kubelet has terminated
// its pods, or until ctx is done.
func (server *Server) Shutdown(ctx context.Context) error {
	err := server.Begin()

	server.mu.Lock()
	inhibitors := server.inhibitors
	server.inhibitors = nil
	server.mu.Unlock()

	for _, inhibitor := range inhibitors {
		err = errors.Join(err, waitReleased(ctx, inhibitor))
	}

	return err
}

// OnReboot says what the method Reboot does, from now on; without it, or with
// nil, it is refused. The caller of the method waits for it, so it is to begin
// the reboot and to return. Its error is what the caller is told.
func (server *Server) OnReboot(reboot func() error) {
	server.mu.Lock()
	defer server.mu.Unlock()

	server.reboot = reboot
}

// Begin emits PrepareForShutdown(true) and waits for nobody.
func (server *Server) Begin() error { return server.prepare(true) }

// Cancel emits PrepareForShutdown(false): there will be no shutdown after all.
func (server *Server) Cancel() error { return server.prepare(false) }

func (server *Server) prepare(shutdown bool) error {
	server.mu.Lock()
	defer server.mu.Unlock()

	server.preparing = shutdown

	var err error

	for p := range server.peers {
		if p.subscribed.Load() {
			err = errors.Join(err, p.emit(managerPath, managerInterface, "PrepareForShutdown", shutdown))
		}
	}

	return err
}

func (server *Server) isPreparing() bool {
	server.mu.Lock()
	defer server.mu.Unlock()

	return server.preparing
}

// waitReleased returns when the other end of the inhibitor's pipe is closed.
func waitReleased(ctx context.Context, inhibitor *os.File) error {
	defer inhibitor.Close() //nolint:errcheck // read end of a pipe that nobody writes to

	// A deadline in the past wakes the read up when ctx ends first.
	stop := context.AfterFunc(ctx, func() {
		inhibitor.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // pipes support deadlines
	})
	defer stop()

	if _, err := inhibitor.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("shutdown inhibitor was not released: %w", context.Cause(ctx))
	}

	return nil
}

// inhibit hands out the write end of a pipe; the inhibitor is released when
// the last copy of it is closed.
func (server *Server) inhibit() (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("failed to create inhibitor: %w", err)
	}

	server.mu.Lock()
	defer server.mu.Unlock()

	if server.closed {
		return nil, errors.Join(net.ErrClosed, read.Close(), write.Close())
	}

	server.inhibitors = append(server.inhibitors, read)

	return write, nil
}

// canReboot says whether OnReboot was told anything, in logind's words.
func (server *Server) canReboot() string {
	server.mu.Lock()
	defer server.mu.Unlock()

	if server.reboot == nil {
		return "na"
	}

	return "yes"
}

// beginReboot does what OnReboot was told.
func (server *Server) beginReboot() error {
	server.mu.Lock()
	reboot := server.reboot
	server.mu.Unlock()

	if reboot == nil {
		return errors.New("nobody here can reboot the machine")
	}

	return reboot()
}

func (server *Server) accept() {
	for {
		conn, err := server.listener.AcceptUnix()
		if err != nil {
			return
		}

		p := &peer{server: server, conn: conn}

		server.mu.Lock()

		if server.closed {
			conn.Close() //nolint:errcheck // the peer never got a word from us
		} else {
			server.peers[p] = struct{}{}
			server.serving.Go(p.serve)
		}

		server.mu.Unlock()
	}
}

func (server *Server) forget(p *peer) {
	server.mu.Lock()
	defer server.mu.Unlock()

	delete(server.peers, p)
}

const (
	managerPath      = dbus.ObjectPath("/org/freedesktop/login1")
	managerInterface = "org.freedesktop.login1.Manager"
)

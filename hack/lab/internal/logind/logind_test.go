// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package logind_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/internal/logind"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const manager = "org.freedesktop.login1.Manager"

func TestShutdownWaitsForTheInhibitor(t *testing.T) {
	server, conn := connect(t)
	inhibitor := inhibit(t, conn)

	signals := make(chan *dbus.Signal, 1)
	conn.Signal(signals)
	require.NoError(t, conn.AddMatchSignal(dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForShutdown")))

	down := make(chan error, 1)

	go func() { down <- server.Shutdown(t.Context()) }()

	signal := <-signals
	assert.Equal(t, manager+".PrepareForShutdown", signal.Name)
	assert.Equal(t, []any{true}, signal.Body)
	assert.Empty(t, down, "the inhibitor is still held")

	require.NoError(t, syscall.Close(inhibitor))
	require.NoError(t, <-down)
}

func TestShutdownGivesUpWhenToldTo(t *testing.T) {
	server, conn := connect(t)
	inhibitor := inhibit(t, conn)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()

	require.ErrorIs(t, server.Shutdown(ctx), context.DeadlineExceeded)
	require.NoError(t, syscall.Close(inhibitor))
}

func TestShutdownWithoutInhibitorsIsImmediate(t *testing.T) {
	server, _ := connect(t)

	require.NoError(t, server.Shutdown(t.Context()))
}

func TestDelayIsLongerThanAnyGracePeriod(t *testing.T) {
	_, conn := connect(t)

	delay, err := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").GetProperty(manager + ".InhibitDelayMaxUSec")
	require.NoError(t, err)
	assert.Equal(t, uint64(logind.InhibitMaxDelay/time.Microsecond), delay.Value())
}

func TestUnknownMethodIsRefused(t *testing.T) {
	_, conn := connect(t)

	call := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").Call(manager+".PowerOff", 0, true)
	require.ErrorContains(t, call.Err, "PowerOff")
}

func connect(t *testing.T) (*logind.Server, *dbus.Conn) {
	t.Helper()

	server := serve(t, busPath(t))

	conn, err := dbus.Connect(server.Address())
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, conn.Close()) })

	return server, conn
}

// busPath returns a path for a bus that is short enough for a unix socket.
func busPath(t *testing.T) string {
	t.Helper()

	folder, err := os.MkdirTemp("", "logind-") //nolint:usetesting // t.TempDir is too long for a unix socket
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })

	return filepath.Join(folder, "bus.sock")
}

func serve(t *testing.T, path string) *logind.Server {
	t.Helper()

	server, err := logind.Listen(path)
	require.NoError(t, err)

	t.Cleanup(func() {
		if err := server.Close(); !errors.Is(err, net.ErrClosed) {
			assert.NoError(t, err)
		}
	})

	return server
}

// inhibit does what the kubelet does to be asked before a shutdown.
func inhibit(t *testing.T, conn *dbus.Conn) int {
	t.Helper()

	var inhibitor dbus.UnixFD

	require.NoError(t, conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").
		Call(manager+".Inhibit", 0, "shutdown", "kubelet", "pods have to end", "delay").Store(&inhibitor))

	return int(inhibitor)
}

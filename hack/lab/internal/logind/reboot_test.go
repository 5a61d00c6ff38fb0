// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package logind_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/reboot"
)

// over is what rebound's agent has of a bus.
func over(address string) reboot.Logind {
	return reboot.Logind{
		Connect: func(opts ...dbus.ConnOption) (*dbus.Conn, error) { return dbus.Connect(address, opts...) },
	}
}

func TestAgentRebootsTheMachine(t *testing.T) {
	server := serve(t, busPath(t))
	begun := 0

	server.OnReboot(func() error {
		begun++

		return nil
	})

	for want := 1; want <= 2; want++ {
		require.NoError(t, over(server.Address()).Reboot(t.Context()))
		assert.Equal(t, want, begun)
	}
}

func TestAgentIsToldWhyThereIsNoReboot(t *testing.T) {
	server := serve(t, busPath(t))

	require.EqualError(t, over(server.Address()).Reboot(t.Context()),
		"failed to call Reboot of logind: nobody here can reboot the machine")

	server.OnReboot(func() error { return errors.New("there is a reboot under way") })
	require.EqualError(t, over(server.Address()).Reboot(t.Context()),
		"failed to call Reboot of logind: there is a reboot under way")

	require.NoError(t, server.Close())
	require.ErrorContains(t, over(server.Address()).Reboot(t.Context()), "failed to connect to the system's D-Bus: ")
}

func TestAgentIsToldBeforehandWhetherThereCanBeAReboot(t *testing.T) {
	server := serve(t, busPath(t))

	require.EqualError(t, over(server.Address()).Check(t.Context()), `failed to call CanReboot of logind: it answers "na"`)

	server.OnReboot(func() error { return errors.New("it was called") })
	require.NoError(t, over(server.Address()).Check(t.Context()))

	require.NoError(t, server.Close())
	require.ErrorContains(t, over(server.Address()).Check(t.Context()), "failed to connect to the system's D-Bus: ")
}

func TestRebootTakesNothingButABoolean(t *testing.T) {
	server, conn := connect(t)
	server.OnReboot(func() error { return errors.New("it was called") })

	for _, arguments := range [][]any{nil, {"now"}, {true, true}} {
		call := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").Call(manager+".Reboot", 0, arguments...)
		require.ErrorContains(t, call.Err, "Reboot takes one boolean")
	}
}

func TestRebootEndsWithItsContextThoughTheBusIsSilent(t *testing.T) {
	path := busPath(t)

	listener, err := net.Listen("unix", path) //nolint:noctx // it never answers
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, listener.Close()) })

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() { ended <- over("unix:path=" + path).Reboot(ctx) }()

	conn, err := listener.Accept()
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, conn.Close()) })

	cancel()
	require.Error(t, <-ended)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/talos-rebound/rebound/internal/cli"
)

func TestADeadEndpointIsGivenUp(t *testing.T) {
	t.Parallel()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	defer listener.Close() //nolint:errcheck // the test is over

	conn, err := cli.Dial(t.Context(), listener.Addr().String())
	require.NoError(t, err)

	defer conn.Close() //nolint:errcheck // the test is over

	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)

	require.NoError(t, raw.Control(func(fd uintptr) {
		milliseconds, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		assert.NoError(t, err)
		assert.Equal(t, 5000, milliseconds)
	}))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/talos-rebound/rebound/internal/cli"
)

func TestADeadEndpointIsGivenUp(t *testing.T) {
	t.Parallel()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	server := grpc.NewServer()
	defer server.Stop()

	go server.Serve(listener) //nolint:errcheck // it ends with the test

	dialed := make(chan net.Conn, 1)
	options := append(cli.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err == nil {
				dialed <- conn
			}

			return conn, err
		}))

	client, err := grpc.NewClient(listener.Addr().String(), options...)
	require.NoError(t, err)

	defer client.Close() //nolint:errcheck // the test is over

	client.Connect()

	for state := client.GetState(); state != connectivity.Ready; state = client.GetState() {
		require.True(t, client.WaitForStateChange(t.Context(), state))
	}

	raw, err := (<-dialed).(*net.TCPConn).SyscallConn()
	require.NoError(t, err)

	require.NoError(t, raw.Control(func(fd uintptr) {
		milliseconds, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		assert.NoError(t, err)
		assert.Equal(t, 5000, milliseconds)
	}))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosconfig_test

import (
	"context"
	"net"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/internal/talosconfig"
)

func TestADeadEndpointIsGivenUp(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	config, err := cluster.Authority.Config("test", talosapi.ClientConfig{Endpoints: []string{cluster.Endpoint()}})
	require.NoError(t, err)

	dialed := make(chan net.Conn, 1)
	options := append(talosconfig.DialOptions(), grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			dialed <- conn
		}

		return conn, err
	}))

	talos, err := client.New(t.Context(), client.WithConfig(config), client.WithGRPCDialOptions(options...))
	require.NoError(t, err)

	defer talos.Close() //nolint:errcheck // the test is over

	_, err = talos.Version(t.Context())
	require.ErrorContains(t, err, "not authorized")

	raw, err := (<-dialed).(*net.TCPConn).SyscallConn()
	require.NoError(t, err)

	require.NoError(t, raw.Control(func(fd uintptr) {
		milliseconds, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		assert.NoError(t, err)
		assert.Equal(t, 5000, milliseconds)
	}))
}

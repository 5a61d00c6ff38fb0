// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package loopback_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

func TestPortsAreFreeAndHandedOutOnce(t *testing.T) {
	t.Parallel()

	var ports loopback.Ports

	seen := map[int]bool{}

	for range 20 {
		taken, err := ports.Take(5)
		require.NoError(t, err)
		require.Len(t, taken, 5)

		for _, port := range taken {
			assert.False(t, seen[port], port)
			assert.Less(t, port, 32768, "what outgoing connections take is left alone")

			seen[port] = true

			// Nobody listens, and the one that has looked does not either.
			listener, err := net.Listen("tcp", loopback.HostPort(port))
			require.NoError(t, err)
			require.NoError(t, listener.Close())
		}
	}
}

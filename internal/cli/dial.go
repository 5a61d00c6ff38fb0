// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"net"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client/dialer"
)

// deadPeerTimeout is after how long without a sign of life an endpoint is given up, so that requests go to the next one.
// Left to itself the kernel would go on sending to a machine that lost its power for a quarter of an hour.
const deadPeerTimeout = 5 * time.Second

// dial connects as talosctl does, proxies included. A keepalive of gRPC would be the usual way to notice a dead peer, but
// servers end a connection that pings more often than every five minutes.
func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := dialer.DynamicProxyDialer(ctx, address)
	if err != nil {
		return nil, err
	}

	giveUpOnDeadPeer(conn, deadPeerTimeout)

	return conn, nil
}

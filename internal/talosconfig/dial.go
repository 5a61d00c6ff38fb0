// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosconfig

import (
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client/dialer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxConnectDelay is the longest time between two attempts to connect to an endpoint. With the two minutes that
	// gRPC takes, an endpoint that has rebooted would be found late.
	maxConnectDelay = 5 * time.Second
	// deadPeerTimeout is how long an endpoint may give no sign of life. After that requests go to the next endpoint. The
	// kernel alone would go on sending to a machine without power for a quarter of an hour.
	deadPeerTimeout = 5 * time.Second
	// keepaliveInterval is how often an idle connection is tested. Servers end a connection that is tested more often
	// than every five minutes.
	keepaliveInterval = 10 * time.Minute
)

// DialOptions are how an endpoint is connected to: through the proxies that talosctl uses, and without waiting long for
// one that is dead.
func DialOptions() []grpc.DialOption {
	pauses := backoff.DefaultConfig
	pauses.MaxDelay = maxConnectDelay

	return []grpc.DialOption{
		grpc.WithContextDialer(dialer.DynamicProxyDialer),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: maxConnectDelay}),
		// On Linux gRPC gives the timeout to the kernel as well, as TCP_USER_TIMEOUT. That is what notices a dead
		// endpoint as soon as something is sent to it.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveInterval, Timeout: deadPeerTimeout}),
	}
}

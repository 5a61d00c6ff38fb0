// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/client/dialer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxConnectDelay is the longest time between two attempts to connect to an endpoint. gRPC's own two minutes would
	// be added to the reboot of an endpoint.
	maxConnectDelay = 5 * time.Second
	// deadPeerTimeout is after how long without a sign of life an endpoint is given up, so that requests go to the next
	// one. Left to itself the kernel would go on sending to a machine that lost its power for a quarter of an hour.
	deadPeerTimeout = 5 * time.Second
	// keepaliveInterval is how often an idle connection is tried out. Servers end one that does so more often than every
	// five minutes.
	keepaliveInterval = 10 * time.Minute
)

// cluster is a connection to the Talos API and what the configuration says about it.
type cluster struct {
	client  *client.Client
	context *clientconfig.Context
	nodes   []string
}

// connect reads the configuration and prepares a connection. It sends nothing yet: whatever is wrong here is the
// configuration.
func connect(ctx context.Context, access Access) (*cluster, error) {
	access, err := access.clean()
	if err != nil {
		return nil, err
	}

	config, path, err := access.load()
	if err != nil {
		return nil, err
	}

	chosen, err := access.choose(config, path, time.Now())
	if err != nil {
		return nil, err
	}

	talos, err := client.New(ctx, client.WithConfig(config), client.WithGRPCDialOptions(dialOptions()...))
	if err != nil {
		return nil, unusable(config.Context, path, err)
	}

	return &cluster{client: talos, context: chosen, nodes: access.Nodes}, nil
}

// close ends the connection. Whatever goes wrong there, the answers have been given.
func (cluster *cluster) close() { cluster.client.Close() } //nolint:errcheck // see above

// dialOptions are how an endpoint is connected to: through the proxies that talosctl uses, and without waiting long for
// one that is dead.
func dialOptions() []grpc.DialOption {
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

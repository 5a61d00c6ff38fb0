// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// maxConnectDelay is the longest time between two attempts to connect to an endpoint. gRPC's own two minutes would be
// added to the reboot of an endpoint.
const maxConnectDelay = 5 * time.Second

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

	options := []client.OptionFunc{
		client.WithConfig(config),
		client.WithEndpoints(chosen.Endpoints...),
		client.WithGRPCDialOptions(grpc.WithContextDialer(dial), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: backoff.DefaultConfig.BaseDelay, Multiplier: backoff.DefaultConfig.Multiplier,
				Jitter: backoff.DefaultConfig.Jitter, MaxDelay: maxConnectDelay,
			},
			MinConnectTimeout: maxConnectDelay,
		})),
	}

	if access.Context != "" {
		options = append(options, client.WithContextName(access.Context))
	}

	talos, err := client.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("failed to use talosconfig %q: %w", path, err)
	}

	return &cluster{client: talos, context: chosen, nodes: access.Nodes}, nil
}

func (cluster *cluster) close() error {
	if err := cluster.client.Close(); err != nil {
		return failure{fmt.Errorf("failed to close connection: %w", err)}
	}

	return nil
}

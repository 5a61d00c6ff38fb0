// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// How fast a connection finds a machine again that was away. Machines are on loopback, where trying costs nothing.
const (
	firstReconnect = 100 * time.Millisecond
	maxReconnect   = time.Second
	connectTimeout = 3 * time.Second
)

// connections holds one connection to each target. The zero value is ready to use.
type connections struct {
	mu       sync.Mutex
	byTarget map[string]*grpc.ClientConn
	closed   bool
}

// to returns the connection to a target, which may not be established. The error is Unavailable once all are closed.
func (c *connections) to(target string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return nil, status.Error(codes.Unavailable, "the endpoint is closed")
	}

	if connection, ok := c.byTarget[target]; ok {
		return connection, nil
	}

	connection, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  firstReconnect,
				Multiplier: backoff.DefaultConfig.Multiplier,
				Jitter:     backoff.DefaultConfig.Jitter,
				MaxDelay:   maxReconnect,
			},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize),
			grpc.ForceCodecV2(proxy.Codec()),
		),
	)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "failed to connect to %q: %v", target, err)
	}

	if c.byTarget == nil {
		c.byTarget = map[string]*grpc.ClientConn{}
	}

	c.byTarget[target] = connection

	return connection, nil
}

// close closes all connections and lets no new ones come up.
func (c *connections) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.closed = true

	var errs []error

	for target, connection := range c.byTarget {
		if err := connection.Close(); err != nil {
			errs = append(errs, fmt.Errorf("failed to close the connection to %q: %w", target, err))
		}
	}

	c.byTarget = nil

	return errors.Join(errs...)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/kubecheck"
	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/check"
)

// withRebound has rebound in machined of every node. Seconds, if given, is set to
// how long one attempt of rebound health has taken once it passed.
func withRebound(attempt *time.Duration) help {
	var (
		mu       sync.Mutex
		machines []*machine
	)

	return help{
		name: "rebound", limit: ownLimit,
		boot: func(ctx context.Context, _ *fleet, n *node) (func() error, error) {
			m, err := startMachine(ctx, n)
			if err != nil {
				return nil, err
			}

			mu.Lock()
			defer mu.Unlock()

			machines = append(machines, m)

			return func() error { return m.healthy(ctx) }, nil
		},
		finish: func(ctx context.Context, f *fleet) error {
			mu.Lock()
			defer mu.Unlock()

			err := awaitHealth(ctx, f, machines, attempt)

			for _, m := range machines {
				m.end()
			}

			return err
		},
	}
}

// awaitHealth waits until all nodes say that they have recovered, and judges them
// once more.
func awaitHealth(ctx context.Context, f *fleet, machines []*machine, attempt *time.Duration) error {
	for _, m := range machines {
		if err := m.awaitRecovered(ctx); err != nil {
			return err
		}
	}

	health, err := kubecheck.Open(f.cluster.Kubeconfig(), "", nil)
	if err != nil {
		return err
	}

	defer health.Close()

	if _, err = health.Wait(ctx, check.WaitOptions{}); err != nil {
		return fmt.Errorf("failed to wait for health: %w", err)
	}

	began := time.Now()

	verdict, err := health.Judge(ctx)
	if err != nil {
		return fmt.Errorf("failed to judge health: %w", err)
	}

	*attempt = time.Since(began)

	if verdict.Status != check.StatusPassed || len(verdict.Nodes) != len(f.nodes) {
		return fmt.Errorf("rebound health says of %d of %d nodes: %s", len(verdict.Nodes), len(f.nodes), verdict.Reason)
	}

	return nil
}

// watchBytes is what the watch of one node, with its connection, takes of the
// API server's memory while nothing happens. The nodes are off.
func (f *fleet) watchBytes(ctx context.Context) (float64, error) {
	before, err := inUse(ctx, f.cluster.Client())
	if err != nil {
		return 0, err
	}

	watching, cancel := context.WithCancel(ctx)

	var group errgroup.Group

	listed := make(chan struct{}, len(f.nodes))

	for _, n := range f.nodes {
		group.Go(func() error {
			client, err := kube.OpenConfig(n.config(watchClient))
			if err != nil {
				return err
			}

			defer client.Close()

			var once sync.Once

			return client.WatchPods(watching, n.name, func([]recovery.Pod) { once.Do(func() { listed <- struct{}{} }) })
		})
	}

	ended := make(chan error, 1)

	go func() { ended <- group.Wait() }()

	for range f.nodes {
		select {
		case <-listed:
		case <-ctx.Done():
			cancel()

			return 0, errors.Join(context.Cause(ctx), <-ended)
		}
	}

	after, err := inUse(ctx, f.cluster.Client())

	cancel()

	if ended := <-ended; ended != nil {
		return 0, ended
	}

	return (after - before) / float64(len(f.nodes)), err
}

// watchClient is whose bytes those of these watches are.
const watchClient = "watch"

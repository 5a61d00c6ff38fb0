// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/internal/cli"
)

var errNoWait = errors.New("it did not wait for the node, which was down")

// checkHealth reboots the node with rebound in machined once more, under the eyes
// of rebound health: the check begins while the node is down and has to wait
// until it is whole.
func (r *race) checkHealth(ctx context.Context) error {
	node := r.cluster.Node(withMachined)

	r.progress.Say("once more, with rebound health waiting for the node")
	r.progress.Say("%s: shutting down", withMachined)

	if err := node.Stop(ctx); err != nil {
		return err
	}

	r.progress.Say("%s: down", withMachined)
	r.progress.Say("$ rebound health -n %s", withMachined)

	output, writer := io.Pipe()
	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() error {
		return writer.CloseWithError(cli.Health(ctx, cli.HealthOptions{
			Access:      cli.Access{Talosconfig: r.cluster.Talosconfig(), Nodes: []string{withMachined}},
			WaitTimeout: show.BootLimit,
			Output:      cli.FormatText,
		}, writer, io.Discard))
	})
	group.Go(func() error {
		err := errNoWait
		lines := bufio.NewScanner(output)

		for lines.Scan() {
			r.progress.Say("  %s", lines.Text())

			if err != nil && strings.Contains(lines.Text(), withMachined+": ") {
				err = nil

				group.Go(func() error {
					r.progress.Say("%s: booting", withMachined)

					return node.Start(ctx)
				})
			}
		}

		if err = errors.Join(lines.Err(), err); err != nil {
			return fmt.Errorf("rebound health failed on node %q: %w", withMachined, err)
		}

		return nil
	})

	return group.Wait()
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"fmt"
	"io"
	"time"
)

// RebootStatusOptions are what rebound reboot status may be given.
type RebootStatusOptions struct {
	Access KubeAccess
	// Nodes are the names of the nodes to show; empty means all for which a reboot was asked for.
	Nodes []string
	// Output is the format of the result.
	Output Format
}

// RebootStatus prints the queue and who holds a slot. That a reboot is blocked is a result, not an error.
func RebootStatus(ctx context.Context, options RebootStatusOptions, out io.Writer) error {
	nodes, err := nodeNames(options.Nodes)
	if err != nil {
		return err
	}

	client, err := options.Access.open()
	if err != nil {
		return err
	}

	defer client.Close()

	reboots, err := client.NodeReboots(ctx)
	if err != nil {
		return rebootError(ctx, err)
	}

	budget, err := client.Budget(ctx)
	if err != nil {
		return rebootError(ctx, err)
	}

	now := time.Now()

	queue := judgeQueue(reboots, budget, now)
	if len(nodes) > 0 {
		queue = queue.only(nodes)
	}

	if err = queue.write(out, options.Output, now); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

func newHealthCommand() *cobra.Command {
	var options cli.HealthOptions

	cmd := &cobra.Command{
		Use:   "health",
		Short: "Wait until the DaemonSet pods of all nodes are back, and name the culprit",
		Long: `Health waits until the DaemonSet pods of all nodes are back after a reboot, and
says what it waits for: node, DaemonSet, pod and cause. A node that does not
answer is waited for as well: it may be the one that reboots. A node whose Talos
was built without rebound is left out.

A node that was asked to reboot is whole until it begins to: let talosctl reboot
wait, as it does by default, and run this after it.

Exit codes:
  0  all DaemonSet pods are back
  1  not in time, or failing
  2  wrong usage or configuration, or no node to check`,
		Example: `  # Wait for the whole cluster, up to 20 minutes
  rebound health

  # Wait for two nodes, five minutes at most
  rebound health -n 10.5.0.3,10.5.0.4 --wait-timeout 5m

  # For scripts: one JSON object with the verdict on every node; progress goes to stderr
  rebound health -o json | jq -r '.nodes[] | select(.status != "passed") | .name'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Health(cmd.Context(), options, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}

	addAccess(cmd, &options.Access)
	addOutput(cmd, &options.Output)
	cmd.Flags().DurationVar(&options.WaitTimeout, "wait-timeout", cli.DefaultWaitTimeout, "how long to wait")
	cmd.Flags().BoolVar(&options.Poll, "poll", false, "only ask every 5 s, without a watch per node, for a proxy that cuts long streams")

	return cmd
}

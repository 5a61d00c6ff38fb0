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
answer is waited for as well: it may be the one that reboots. A node without
rebound is left out.

It asks the Talos API, which knows nodes with rebound in their Talos, and stock
ones with rebound's agent. With --kubeconfig it asks Kubernetes what the nodes
say on their Node objects, whatever they run. That takes the rights to list and
to watch Nodes.

A node that was asked to reboot is whole until it begins to: let talosctl reboot
wait, as it does by default, and run this after it. Kubernetes learns that a node
has gone from its kubelet, or after about 50 s without it: with --kubeconfig, run
this after the reboot.

What an agent says counts for the boot that it is about. Talos v1.13 does not
tell the boot's id. There it has to have recovered after Talos found the clock to
be right; if that is set by more than 15 minutes later on, health waits until the
next report, or the next boot. A Node that never had a report is one without
rebound, as is a node whose agent has yet to come up for the first time.

Exit codes:
  0  all DaemonSet pods are back
  1  not in time, or failing
  2  wrong usage or configuration, or no node to check`,
		Example: `  # Talos, built with rebound or stock with the agent: the whole cluster, up to 20 minutes
  rebound health

  # Two nodes of it, five minutes at most
  rebound health -n 10.5.0.3,10.5.0.4 --wait-timeout 5m

  # K3s, and whatever else runs the agent: by the Node objects
  rebound health --kubeconfig /etc/rancher/k3s/k3s.yaml
  rebound health --kubeconfig ~/.kube/config --kube-context staging -n worker-a

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
	cmd.Flags().BoolVar(&options.Poll, "poll", false, "only ask every 5 s, without watches, for a proxy that cuts long streams")

	return cmd
}

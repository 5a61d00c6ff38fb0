// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

func newStatusCommand() *cobra.Command {
	var options cli.StatusOptions

	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print where every node stands, and return at once",
		Long: `Status asks every node once and prints where it stands. That a node is not whole
is a result and no error.

It asks the Talos API, or Kubernetes with --kubeconfig; see 'rebound health --help'.
With --socket it asks the agent of this machine, which knows every DaemonSet.

Exit codes:
  0  the nodes were asked
  1  none of them answered
  2  wrong usage or configuration`,
		Example: `  # Every member of a Talos cluster, built with rebound or stock with the agent
  rebound status

  # One node of another cluster
  rebound status --context staging -n 10.6.0.3

  # K3s, and whatever else runs the agent: by the Node objects
  rebound status --kubeconfig /etc/rancher/k3s/k3s.yaml

  # The agent of this machine, with a line for each DaemonSet
  sudo rebound status --socket ` + defaultSocket,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Status(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addAccess(cmd, &options.Access)
	addOutput(cmd, &options.Output)
	cmd.Flags().Var((*fileName)(&options.Socket), "socket", "ask the agent that listens at this unix socket, usually "+defaultSocket)

	return cmd
}

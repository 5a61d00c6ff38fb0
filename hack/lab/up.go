// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/hack/lab/internal/playground"
)

func newUpCommand() *cobra.Command {
	var options playground.Options

	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a lab that stays up, for talosctl, kubectl and rebound",
		Long: `Up starts a lab with nodes and DaemonSets, waits until all pods are Ready, says
how to use it, and takes it down on Ctrl-C.

The nodes answer over the Talos API as stock ones do: to talosctl, with the
resources and the version of every node and the members of the cluster, and to
rebound. Nothing can be written. Nodes without rebound do not know its
resources.

It writes talosconfig, kubeconfig and lab.json to a folder, which it takes back
at the end.`,
		Example: `  # Two nodes with rebound
  lab up

  # A mixed cluster
  lab up --workers 3 --stock 1

  # A second lab next to the first
  lab up --out build/second`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return playground.Up(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().IntVar(&options.Workers, "workers", playground.DefaultWorkers, "how many nodes have rebound")
	cmd.Flags().IntVar(&options.Stock, "stock", 0, "how many further nodes run without rebound")
	cmd.Flags().StringVar(&options.Out, "out", playground.DefaultOut, "folder for talosconfig, kubeconfig and lab.json")

	return cmd
}

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

Exit codes:
  0  the nodes were asked
  1  none of them answered
  2  wrong usage or configuration`,
		Example: `  # Every member of the cluster
  rebound status

  # One node of another cluster
  rebound status --context staging -n 10.6.0.3`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Status(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addAccess(cmd, &options.Access)
	addOutput(cmd, &options.Output)

	return cmd
}

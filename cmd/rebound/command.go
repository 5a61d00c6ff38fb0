// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

const exitCodes = `Exit codes:
  0  all DaemonSet pods are back
  1  not in time, or failing
  2  wrong usage or configuration, or no node to check`

func newCommand() *cobra.Command {
	var version bool

	root := &cobra.Command{
		Use:   "rebound",
		Short: "Tell whether rebooted Talos nodes have their DaemonSet pods back",
		Long: `Rebound tells whether rebooted Talos nodes have their DaemonSet pods back, and
puts into a source tree of Talos what brings them back.

health and status read the recovery status that machined publishes on every node
whose Talos was built with rebound, through the Talos API. They write nothing,
and the role os:reader is enough. embed is for who builds Talos.`,
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				cli.Version(cmd.OutOrStdout())

				return nil
			}

			return cmd.Help()
		},

		SuggestionsMinimumDistance: typos,
	}

	root.Flags().BoolVar(&version, "version", false, "print what this binary was built from")
	root.SetHelpCommand(newHelpCommand())

	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())
	})

	root.AddCommand(newHealthCommand(), newStatusCommand(), newEmbedCommand(), newVersionCommand())
	root.AddCommand(newManifestCommand(), newInstallCommand(), newUninstallCommand())
	refuseUnknownShells(root)

	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary was built from",
		Example: "  rebound version",
		Args:    noArguments,
		Run:     func(cmd *cobra.Command, _ []string) { cli.Version(cmd.OutOrStdout()) },
	}
}

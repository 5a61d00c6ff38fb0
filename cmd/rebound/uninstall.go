// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/cli"
)

func newUninstallCommand() *cobra.Command {
	options := cli.UninstallOptions{Platform: string(platform.Auto)}

	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the agent off this host",
		Long: `Uninstall removes what rebound install wrote on this host, static pod or unit, and
lets systemd stop the unit before. Without --platform it looks at the default
places of all of them. A file of somebody else is refused.

Exit codes:
  0  removed, or it was not there
  1  failed
  2  wrong usage, or a file of somebody else`,
		Example: `  # See what would be removed, and remove it
  rebound uninstall --dry-run
  rebound uninstall

  # K3s with another data directory
  rebound uninstall --platform k3s --data-dir /data/k3s`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Uninstall(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addPlatform(cmd, &options.Platform, &options.DataDir)
	addHost(cmd, &options.Root, &options.DryRun)

	return cmd
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/hack/lab/internal/playground"
)

func newRebootCommand() *cobra.Command {
	var options playground.RebootOptions

	cmd := &cobra.Command{
		Use:   "reboot NODE",
		Short: "Reboot a node of the lab that is up",
		Long: `Reboot reboots a node of the lab that 'lab up' has started in another terminal,
as Talos does: the kubelet is shut down gracefully first. It returns when the
kubelet is healthy again, which is before the DaemonSet pods are back.

Ctrl-C ends the command and not the reboot. A node that is down is booted.`,
		Example: `  # As talosctl reboot
  lab reboot worker-a

  # As a power failure
  lab reboot worker-a --hard

  # A node of a lab with a folder of its own
  lab reboot worker-a --out build/second`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options.Node = args[0]

			return playground.Reboot(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().BoolVar(&options.Hard, "hard", false, "reboot as a power failure does, without a shutdown")
	cmd.Flags().StringVar(&options.Out, "out", playground.DefaultOut, "folder of the lab")

	return cmd
}

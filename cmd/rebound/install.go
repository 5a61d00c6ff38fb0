// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/cli"
)

func newInstallCommand() *cobra.Command {
	options := cli.InstallOptions{AgentOptions: cli.AgentOptions{Platform: string(platform.Auto)}}

	cmd := &cobra.Command{
		Use:   "install",
		Short: "Run the agent on this host",
		Long: `Install writes what rebound manifest prints to where it belongs on this host: the
static pod into the kubelet's folder, or the unit to systemd, which starts it.
Running it again changes nothing, or what is different. A file of somebody else
is refused, and a unit that does not start is taken back.

The platform is told by the kubelet's kubeconfig. A node with Talos takes no
files: see rebound manifest.

Exit codes:
  0  installed, or it was already
  1  failed, nothing is left of it
  2  wrong usage, or not a host for it`,
		Example: `  # See what would be done, and do it
  rebound install --dry-run
  rebound install

  # RKE2 with an image of one's own
  rebound install --platform rke2 --image registry.internal/rebound:v0.1.0

  # EKS with Amazon Linux 2023, whose kubelet has no certificate with the node's name in
  # it. In an image, NODE_NAME goes to /etc/default/rebound when the host starts.
  rebound install --platform systemd --node-name ip-10-0-0-5.ec2.internal

  # With the node's half of coordinated reboots, on a host with dnf
  rebound install --platform systemd --reboots --reboot-sentinel= \
    --reboot-sentinel-command '! needs-restarting -r'

  # Into an image, or on a host that has not joined a cluster yet
  rebound install --platform kubeadm --root /mnt/image
  rebound install --platform systemd --root /`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Install(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addAgent(cmd, &options.AgentOptions)
	addHost(cmd, &options.Root, &options.DryRun)

	return cmd
}

// addHost adds the flags that say where it is written.
func addHost(cmd *cobra.Command, root *string, dryRun *bool) {
	cmd.Flags().StringVar(root, "root", "", "folder of an image that does not run, to write to instead of this host")
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "say what would be done, and do nothing")

	if err := cmd.MarkFlagDirname("root"); err != nil {
		panic(err) // there is no such flag
	}
}

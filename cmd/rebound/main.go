// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Rebound brings back the DaemonSet pods of rebooted nodes, and tells whether they are back.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Whoever presses Ctrl-C twice does not want to wait for anything.
	context.AfterFunc(ctx, stop)

	err := newCommand().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rebound:", cli.Words(err))
	}

	return cli.ExitCode(err)
}

func newCommand() *cobra.Command {
	var version bool

	root := &cobra.Command{
		Use:   "rebound",
		Short: "Bring back the DaemonSet pods of rebooted nodes, and tell whether they are back",
		Long: `Rebound brings back the DaemonSet pods of rebooted nodes, and tells whether they
are back.

agent does that on nodes as they are; manifest and install put it there. embed is
for who builds Talos, and puts the same into machined. health and status ask the
nodes how it went. They write nothing. reboot asks for reboots that are coordinated
in the cluster. backoff is for clusters whose nodes have no rebound.`,
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
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(newHealthCommand(), newStatusCommand(), newRebootCommand(), newBackoffCommand(), newAgentCommand(), newManifestCommand(), newInstallCommand(), newUninstallCommand(), newEmbedCommand(), newVersionCommand())
	checkArgumentsOfCompletion(root)

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

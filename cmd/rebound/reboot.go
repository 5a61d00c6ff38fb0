// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

func newRebootCommand() *cobra.Command {
	var (
		options  cli.RebootOptions
		reason   string
		priority int32
		force    bool
	)

	cmd := &cobra.Command{
		Use:   "reboot NODE...",
		Short: "Ask for coordinated reboots of nodes, and see who waits for what",
		Long: `Reboot asks rebound-coordinator for a reboot of every node that is named: it
creates a NodeReboot of that name. A node that is done is asked for anew. For one
that waits already, what is given with flags is changed. If there is no Node of
one of the names, nothing is asked for.

The coordinator drains and reboots the nodes within their RebootPolicy and the
RebootBudget. --force passes over windows, gates, cooldown, quorum and
PodDisruptionBudgets; the node still takes a slot.

With --wait, every change is printed as it happens, until all nodes are back. When
that ends early, by Ctrl-C or --timeout, the requests stay.

--not-before takes 22:00 (today, in this machine's time zone), +2h, or
2026-03-01T22:00:00Z, and nothing that has passed.

A node with the name of a subcommand goes after two dashes.

Exit codes:
  0  all were asked for; with --wait: all were rebooted
  1  not all could be asked for; with --wait: not in time, or cancelled
  2  wrong usage or configuration, no such Node, or no coordinated reboots here`,
		Example: `  # Reboot a node when its turn comes
  rebound reboot worker-a --reason "kernel update"

  # Three nodes tonight, and watch
  rebound reboot worker-a worker-b worker-c --not-before 22:00 --wait --timeout 8h

  # Now, whatever its budgets say
  rebound reboot worker-a --force --priority 100 --wait

  # A node whose name is status
  rebound reboot -- status`,
		Args: someNodes,
		RunE: func(cmd *cobra.Command, nodes []string) error {
			flags := cmd.Flags()

			if flags.Changed("reason") {
				options.Reason = &reason
			}

			if flags.Changed("priority") {
				options.Priority = &priority
			}

			if flags.Changed("force") {
				options.Force = &force
			}

			switch {
			case flags.Changed("not-before") && options.NotBefore == "":
				return errors.New("--not-before is empty; write a time, or leave it out")
			case flags.Changed("timeout") && !options.Wait:
				return errors.New("--timeout is how long to --wait; give both, or none of them")
			}

			options.Nodes = nodes

			return cli.Reboot(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &options.Access)
	completeNodes(cmd, &options.Access, cli.KubernetesNodes)

	flags := cmd.Flags()
	flags.StringVar(&reason, "reason", "", "why, for those who look at the queue")
	flags.Int32Var(&priority, "priority", 0, "the highest goes first (default that of the node's policy)")
	flags.StringVar(&options.NotBefore, "not-before", "", "earliest time: 22:00, +2h or 2026-03-01T22:00:00Z")
	flags.BoolVar(&force, "force", false, "pass over windows, gates, cooldown, quorum and PodDisruptionBudgets")
	flags.BoolVar(&options.Wait, "wait", false, "print every change until all nodes are back")
	flags.DurationVar(&options.Timeout, "timeout", cli.DefaultRebootTimeout, "how long to --wait")

	for _, flag := range []string{"reason", "priority", "not-before", "timeout"} {
		complete(cmd, flag, cobra.NoFileCompletions)
	}

	cmd.AddCommand(newRebootStatusCommand(), newRebootCancelCommand(), newRebootPauseCommand(), newRebootResumeCommand())

	return cmd
}

// addKubeAccess adds the flags that say which cluster is meant.
func addKubeAccess(cmd *cobra.Command, access *cli.KubeAccess) {
	cmd.Flags().Var((*fileName)(&access.Kubeconfig), "kubeconfig", "client configuration (default $KUBECONFIG, then ~/.kube/config)")
	cmd.Flags().StringVar(&access.KubeContext, "kube-context", "", "context of the kubeconfig (default the current one)")

	complete(cmd, "kube-context", cobra.NoFileCompletions)
}

// completeNodes lets shells complete the names of nodes that were not typed yet.
func completeNodes(cmd *cobra.Command, access *cli.KubeAccess, names nodeNames) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
		nodes, err := names(cmd.Context(), *access)

		return completed(slices.DeleteFunc(nodes, func(node string) bool { return slices.Contains(typed, node) }), err)
	}
}

// someNodes refuses a command that names no nodes.
func someNodes(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name a node, or several; see '%s --help'", cmd.CommandPath())
	}

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

// nodeNames lists names of nodes.
type nodeNames func(context.Context, cli.KubeAccess) ([]string, error)

func newRebootStatusCommand() *cobra.Command {
	var options cli.RebootStatusOptions

	cmd := &cobra.Command{
		Use:   "status [NODE...]",
		Short: "Print the queue of reboots, and what each waits for",
		Long: `Status prints who holds a slot and the queue in its order, with what each node
waits for, and returns at once. That a reboot is blocked is a result and no error.

With -o json it prints one object:
  budget   {maxUnavailable, paused, waiting, holders[]: {node, step, since, policy}},
           null if there is none
  nodes[]  {node, phase, reason, message, since, policy, place, request,
           failedAttempts, nextAttemptAt, blockedBy[]: {pod, budgets[], message}};
           place is 0 outside the queue, pod is namespace/name
  request  {by: node or person, reason, at, priority, notBefore, suspended, forced},
           null if no reboot of a node that was named is asked for
  hints[]  what keeps the whole queue waiting, in words
Times are RFC 3339 in UTC; those that there are not are left out.

Exit codes:
  0  the queue was read
  1  the API server did not answer
  2  wrong usage or configuration, or no coordinated reboots here`,
		Example: `  # The whole queue
  rebound reboot status

  # Which pods block which node
  rebound reboot status -o json | jq -r '.nodes[] | .node as $n | .blockedBy[] | "\($n) \(.pod)"'`,
		RunE: func(cmd *cobra.Command, nodes []string) error {
			options.Nodes = nodes

			return cli.RebootStatus(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &options.Access)
	addOutput(cmd, &options.Output)
	completeNodes(cmd, &options.Access, cli.NodesWithReboot)

	return cmd
}

func newRebootCancelCommand() *cobra.Command {
	var access cli.KubeAccess

	cmd := &cobra.Command{
		Use:   "cancel NODE...",
		Short: "Cancel reboots that were not granted yet",
		Long: `Cancel deletes the NodeReboots of the nodes. One that is being drained is given
back. A grant is final: a reboot that was granted cannot be cancelled.

If a node itself wants to be rebooted, its NodeReboot would be made again. It is
suspended in place of that, until 'rebound reboot NODE' asks for it.

Exit codes:
  0  all are cancelled or suspended
  1  not all of them: granted or done already, or the API server did not answer
  2  wrong usage or configuration, no reboot asked for, or no coordinated reboots here`,
		Example: `  rebound reboot cancel worker-a worker-b`,
		Args:    someNodes,
		RunE: func(cmd *cobra.Command, nodes []string) error {
			return cli.CancelReboot(cmd.Context(), access, nodes, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &access)
	completeNodes(cmd, &access, cli.NodesWithReboot)

	return cmd
}

func newRebootPauseCommand() *cobra.Command {
	return newPausingCommand("pause", true, "Let no further reboot begin",
		`Pause lets no further reboot begin, on any node. Those that are granted go on;
a node that is being drained is given back.`)
}

func newRebootResumeCommand() *cobra.Command {
	return newPausingCommand("resume", false, "Let reboots begin again", `Resume ends what rebound reboot pause began.`)
}

func newPausingCommand(name string, paused bool, short, long string) *cobra.Command {
	var access cli.KubeAccess

	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: long + `

Exit codes:
  0  done
  1  the API server did not answer
  2  wrong usage or configuration, no RebootBudget, or no coordinated reboots here`,
		Example: "  rebound reboot " + name,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.PauseReboots(cmd.Context(), access, paused, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &access)

	return cmd
}

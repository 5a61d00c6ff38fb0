// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/talos-rebound/rebound/internal/cli"
)

func newBackoffRestartCommand() *cobra.Command {
	var options cli.BackoffRestartOptions

	cmd := &cobra.Command{
		Use:   "restart-controller-manager --node NODE",
		Short: "Begin all back-offs anew: restart the kube-controller-manager that leads (Talos)",
		Long: `Restart-controller-manager restarts, through the Talos API, the
kube-controller-manager that leads. Another one takes over, or the same one again,
and knows no back-offs.

It does so only if

  - the node is one of the control plane, Ready, and not about to reboot,
  - its kube-controller-manager leads: the others have no back-offs to forget,
  - another node of the control plane is Ready and its kube-controller-manager too.

It asks before it does anything, unless --yes is given, and refuses where nobody
can be asked. Then it waits until there is another leader.

It costs up to half a minute in which no controller works, of any kind: nothing is
scaled, replaced or removed from Services. Then all controllers read everything
anew. All back-offs of all DaemonSets on all nodes begin anew. Do not use it for one
DaemonSet (reset does that), for one reboot (clear does that), while a node of the
control plane is down, or while kubelets reject pods: their loops begin anew.

The clocks of this machine and of the cluster have to agree to some seconds.

It takes the role os:operator of the Talos API, and from the API server the rights
to list nodes and to get pods and leases of kube-system.

Exit codes:
  0  there is another leader, or --dry-run has found nothing against it
  1  not agreed to, an API did not answer, or nobody else leads
  2  wrong usage or configuration, no rights, or refused for what was found`,
		Example: `  # Who leads, and may it be restarted?
  rebound backoff restart-controller-manager --node control-a --dry-run

  rebound backoff restart-controller-manager --node control-a`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Answers = cmd.InOrStdin()
			options.Interactive = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))

			return cli.RestartControllerManager(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &options.KubeAccess)
	addTalosAccess(cmd, &options.Access)

	cmd.Flags().StringVar(&options.Node, "node", "", "name of a node of the control plane")
	cmd.Flags().BoolVar(&options.DryRun, "dry-run", false, "restart nothing, and print what would be restarted")
	cmd.Flags().BoolVarP(&options.Yes, "yes", "y", false, "do not ask")
	completeNode(cmd, &options.KubeAccess)

	return cmd
}

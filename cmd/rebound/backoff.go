// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

func newBackoffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backoff",
		Short: "See and end the wait of DaemonSet controllers after Failed pods",
		Long: `Backoff is for clusters whose nodes have no rebound. There, a Failed pod of a
DaemonSet keeps its replacement from being made, until the DaemonSet controller
deletes it: after 1, 2, 4, ... seconds and up to 15 minutes, more with every pod
that has failed on that node.

  status   who waits, and until when, as far as that can be told
  clear    delete the Failed pods, and leave the back-off as it is
  reset    begin the back-offs of one DaemonSet anew, on all nodes
  restart-controller-manager
           begin all back-offs anew (Talos)

Take the first that helps. A back-off is there to stop a loop between a
controller that creates pods and a kubelet that rejects them. If that is why pods
fail, mend what they fail for; reset and restart-controller-manager would set the
loop going again.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: typos,
	}

	cmd.AddCommand(newBackoffStatusCommand(), newBackoffClearCommand(), newBackoffResetCommand(), newBackoffRestartCommand())

	return cmd
}

func newBackoffStatusCommand() *cobra.Command {
	var options cli.BackoffStatusOptions

	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print the Failed pods of DaemonSets, and when they will be deleted",
		Long: `Status prints every Failed pod of a DaemonSet with an estimate of when its
controller will delete it. It changes nothing. It costs a list of the Failed pods
and one of the events of DaemonSets.

It is an estimate because the back-off is in the memory of
kube-controller-manager, which nobody can read. It follows from times that the API
has: the wait began when the controller last deleted a pod of the DaemonSet on this
node (an event says so, for an hour), or else when the pod was made; it lasts 1, 2,
4, ... 512 or 900 seconds; those that would be over have not been it; and every
delete in a row has doubled it. The likely time comes first, then from when until
when it can be. "overdue" means that even the longest back-off is over: then the
pod waits for something else, such as a controller that does not run.

The clocks of this machine and of the cluster have to agree.

With -o json it prints one object:
  waits[]  {daemonSet, node, pod, reason, deleting, optedOut, failedSince, deletedAt,
           deletes, nextAttempt: {earliest, likely, latest}}; nextAttempt is null if
           the pod is overdue
  hints[]  what to know about all of them, in words
Times are RFC 3339 in UTC; those that there are not are left out.

Exit codes:
  0  the cluster was read, whether pods wait or not
  1  the API server did not answer
  2  wrong usage or configuration, or no rights`,
		Example: `  # All that wait
  rebound backoff status

  # The nodes on which kube-proxy waits
  rebound backoff status --daemonset kube-system/kube-proxy -o json | jq -r '.waits[].node'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.BackoffStatus(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &options.Access)
	addBackoffScope(cmd, &options.Access, &options.DaemonSet, &options.Node)
	addOutput(cmd, &options.Output)

	return cmd
}

func newBackoffClearCommand() *cobra.Command {
	var options cli.BackoffClearOptions

	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Delete the Failed pods of DaemonSets that a node with rebound would delete",
		Long: `Clear deletes Failed pods of DaemonSets, so that their replacements are made at
once. It goes by the rules of rebound on a node: pods that a shutdown left behind
are deleted, and of what a kubelet rejects one pod per DaemonSet and node and run;
what failed for another reason (Evicted, ...), what has the annotation
recovery.talos.dev/skip: "true", and everything on a node that is shutting down or
that does not post its state, is left alone. The table says why.

The API does not tell when a machine has booted. So only its reason makes a pod one
that a shutdown left behind, and it is held until the kubelet has reported since
(its Lease shows that too). Run it again if a pod is held.

It deletes only pods that were there when it began, each with its UID as a
condition, and looks at the Node before every delete. It takes the rights to list
and delete pods, and to get nodes and leases.

It costs two reads of each node for every pod. The back-off itself stays: the next
pod that fails there waits longer than this one. Do not run it in a loop: if a
kubelet rejects the pods, that is the loop which the back-off is there to stop. On
nodes with rebound it is not needed.

With -o json it prints one object:
  dryRun  whether nothing was deleted
  pods[]  {daemonSet, node, pod, outcome, reason}; outcome is deleted (with --dry-run:
          would be), gone (somebody else was faster), kept or failed

Exit codes:
  0  done; some pods may have been left alone
  1  a delete failed, or the API server did not answer, or it was interrupted
  2  wrong usage or configuration, or no rights`,
		Example: `  # What would be deleted?
  rebound backoff clear --dry-run

  # After the reboot of one node
  rebound backoff clear --node worker-a

  # One DaemonSet, everywhere
  rebound backoff clear --daemonset kube-system/kube-proxy`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.ClearBackoff(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &options.Access)
	addBackoffScope(cmd, &options.Access, &options.DaemonSet, &options.Node)
	addOutput(cmd, &options.Output)
	cmd.Flags().BoolVar(&options.DryRun, "dry-run", false, "delete nothing, and print what would be deleted")

	return cmd
}

func newBackoffResetCommand() *cobra.Command {
	var options cli.BackoffResetOptions

	cmd := &cobra.Command{
		Use:   "reset --daemonset NAMESPACE/NAME",
		Short: "Begin the back-offs of one DaemonSet anew, without restarting its pods",
		Long: `Reset raises the generation of a DaemonSet, which is part of the key of its
back-offs: on every node, its controller deletes the next Failed pod at once and
then waits 1, 2, 4, ... seconds again.

It adds one to spec.revisionHistoryLimit and takes it back at once, also after
Ctrl-C. No pod is restarted and no revision is made, since both are about
spec.template alone. If the value cannot be restored, the error has the command
that does it. It waits until the DaemonSet controller has seen the change.

It costs two writes to the DaemonSet. Its Failed pods are then deleted on all nodes
at the same time. Do not use it while a kubelet rejects the pods: their loop begins
anew on every node. To bring back the pods of one reboot, clear does less.

The field has the manager "rebound" afterwards. Whatever keeps the manifest applied
(Argo CD, Flux) may see the change for a moment and revert it, which does no harm.
A later server-side apply that gives the field another value meets a conflict with
"rebound", which --force-conflicts settles.

Exit codes:
  0  the back-offs begin anew
  1  the API server did not answer, the controller does not see the change, or the
     value was not restored
  2  wrong usage or configuration, no such DaemonSet, or no rights`,
		Example: `  rebound backoff reset --daemonset kube-system/kube-proxy

  # What would be changed?
  rebound backoff reset --daemonset kube-system/kube-proxy --dry-run`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.ResetBackoff(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addKubeAccess(cmd, &options.Access)
	cmd.Flags().StringVar(&options.DaemonSet, "daemonset", "", "the DaemonSet, as namespace/name")
	cmd.Flags().BoolVar(&options.DryRun, "dry-run", false, "change nothing, and print what would be changed")
	complete(cmd, "daemonset", cobra.NoFileCompletions)

	return cmd
}

// addBackoffScope adds the flags that say which pods are meant.
func addBackoffScope(cmd *cobra.Command, access *cli.KubeAccess, daemonSet, node *string) {
	cmd.Flags().StringVar(daemonSet, "daemonset", "", "only this DaemonSet, as namespace/name (default all)")
	cmd.Flags().StringVar(node, "node", "", "only this node (default all)")

	complete(cmd, "daemonset", cobra.NoFileCompletions)
	completeNode(cmd, access)
}

// completeNode lets shells complete the value of --node.
func completeNode(cmd *cobra.Command, access *cli.KubeAccess) {
	complete(cmd, "node", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return completed(cli.KubernetesNodes(cmd.Context(), *access))
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

// addAccess adds the flags that say which cluster is meant. They are called as talosctl calls them.
func addAccess(cmd *cobra.Command, access *cli.Access) {
	flags := cmd.Flags()

	flags.StringVar(&access.Talosconfig, "talosconfig", "", "client configuration (default $TALOSCONFIG, then ~/.talos/config)")
	flags.StringVar(&access.Context, "context", "", "context of the client configuration (default the current one)")
	flags.StringSliceVarP(&access.Endpoints, "endpoints", "e", nil, "Talos API endpoints (default those of the context)")
	flags.StringSliceVarP(&access.Nodes, "nodes", "n", nil, "nodes to check (default all members of the cluster, else the nodes of the context)")

	complete(cmd, "context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return completed(access.Contexts())
	})
	complete(cmd, "nodes", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		members, err := cli.Members(cmd.Context(), *access)

		// What is typed before the last comma stays.
		before := typed[:strings.LastIndex(typed, ",")+1]
		for i, member := range members {
			members[i] = before + member
		}

		return completed(members, err)
	})
	complete(cmd, "endpoints", cobra.NoFileCompletions)
}

// addOutput adds the flag that says how the result is printed.
func addOutput(cmd *cobra.Command, output *cli.Format) {
	*output = cli.FormatText
	cmd.Flags().VarP(output, "output", "o", "text, or json for scripts")

	complete(cmd, "output", cobra.FixedCompletions(cli.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

func complete(cmd *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err) // there is no such flag
	}
}

func completed(values []string, err error) ([]string, cobra.ShellCompDirective) {
	if err != nil {
		return nil, cobra.ShellCompDirectiveError | cobra.ShellCompDirectiveNoFileComp
	}

	return values, cobra.ShellCompDirectiveNoFileComp
}

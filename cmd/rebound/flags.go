// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/cli"
)

// defaultSocket is where an agent listens unless it is told otherwise.
const defaultSocket = "/run/rebound/agent.sock"

// addAccess adds the flags that say which cluster is meant. Their names are those of talosctl.
func addAccess(cmd *cobra.Command, access *cli.Access) {
	addTalosAccess(cmd, access)

	flags := cmd.Flags()
	flags.Var((*fileName)(&access.Kubeconfig), "kubeconfig", "ask Kubernetes, with this kubeconfig, and not Talos (there is no default, $KUBECONFIG is not read)")
	flags.StringVar(&access.KubeContext, "kube-context", "", "context of the kubeconfig (default the current one)")
	flags.StringSliceVarP(&access.Nodes, "nodes", "n", nil, "nodes to check, by name with --kubeconfig (default all members of the cluster, else the nodes of the context)")

	complete(cmd, "nodes", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		members, err := cli.Members(cmd.Context(), *access)

		// What is typed before the last comma stays.
		before := typed[:strings.LastIndex(typed, ",")+1]
		for i, member := range members {
			members[i] = before + member
		}

		return completed(members, err)
	})
	complete(cmd, "kube-context", cobra.NoFileCompletions)
}

// addTalosAccess adds those of the Talos API alone.
func addTalosAccess(cmd *cobra.Command, access *cli.Access) {
	flags := cmd.Flags()

	flags.StringVar(&access.Talosconfig, "talosconfig", "", "client configuration (default $TALOSCONFIG, then ~/.talos/config)")
	flags.StringVar(&access.Context, "context", "", "context of the client configuration (default the current one)")
	flags.StringSliceVarP(&access.Endpoints, "endpoints", "e", nil, "Talos API endpoints (default those of the context)")

	complete(cmd, "context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return completed(access.Contexts())
	})
	complete(cmd, "endpoints", cobra.NoFileCompletions)
}

// fileName is the value of a flag that chooses what is asked: given empty, as from a variable that is not set, it is a mistake.
type fileName string

// Set implements the flag's value.
func (name *fileName) Set(text string) error {
	if text == "" {
		return errors.New("name a file, or leave it out")
	}

	*name = fileName(text)

	return nil
}

// String implements the flag's value.
func (name *fileName) String() string { return string(*name) }

// Type implements the flag's value.
func (*fileName) Type() string { return "file" }

// addOutput adds the flag that says how the result is printed.
func addOutput(cmd *cobra.Command, output *cli.Format) {
	*output = cli.FormatText
	cmd.Flags().VarP(output, "output", "o", "text, or json for scripts")

	complete(cmd, "output", cobra.FixedCompletions(cli.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

// addReboots adds the flags that are about coordinated reboots. They are the same wherever the agent is set up.
func addReboots(cmd *cobra.Command, reboots *platform.Reboots) {
	flags := cmd.Flags()

	flags.BoolVar(&reboots.Enabled, "reboots", false, "say when the host wants to be rebooted, and reboot it when rebound-coordinator grants that (not on Talos)")
	flags.StringVar(&reboots.Sentinel, "reboot-sentinel", platform.RebootSentinel, "file on the host that tells by its existence that a reboot is wanted; empty for none")
	flags.StringVar(&reboots.SentinelCommand, "reboot-sentinel-command", "", "command of /bin/sh that tells so by exiting with 0, run every minute (systemd only; default none)")
	flags.StringVar(&reboots.Command, "reboot-command", "", "command of /bin/sh that reboots the host (systemd only; default a call of logind)")
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

// typos is how many letters may be wrong in a command for it to be suggested.
const typos = 2

// wrongFlag says what is wrong with a flag. Words that only a Go programmer knows are replaced by what to write.
func wrongFlag(cmd *cobra.Command, err error) error {
	for reason, hint := range map[string]string{
		": strconv.ParseBool: ": "write true or false",
		": strconv.ParseInt: ":  "write a whole number",
		": time: ":              "write a duration such as 90s, 20m or 1h30m",
	} {
		if what, _, ok := strings.Cut(err.Error(), reason); ok {
			err = errors.New(what + ": " + hint)
		}
	}

	return fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())
}

// noArguments refuses arguments. If the command has subcommands, the first argument was meant to be one.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return unknownCommand(cmd, args[0])
	case cmd.Flags().Lookup("nodes") != nil:
		return fmt.Errorf("unexpected argument %q: nodes are named with --nodes; see '%s --help'", args[0], cmd.CommandPath())
	default:
		return fmt.Errorf("unexpected argument %q; see '%s --help'", args[0], cmd.CommandPath())
	}
}

// unknownCommand names what may have been meant.
func unknownCommand(parent *cobra.Command, name string) error {
	hint := ""
	if near := parent.SuggestionsFor(name); name != "" && len(near) > 0 {
		hint = ", perhaps " + strings.Join(near, " or ")
	}

	return fmt.Errorf("unknown command %q%s; see '%s --help'", name, hint, parent.CommandPath())
}

// newHelpCommand differs from that of cobra in one thing: help for a command that does not exist is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Print the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}

			if len(rest) > 0 {
				return unknownCommand(found, rest[0])
			}

			return found.Help()
		},
	}
}

// checkArgumentsOfCompletion makes the completion commands of cobra refuse arguments as all other commands do.
func checkArgumentsOfCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()

	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}

		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }

		for _, checked := range append(cmd.Commands(), cmd) {
			checked.Args = noArguments
		}
	}
}

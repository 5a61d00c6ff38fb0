// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// typos is how many letters may be wrong in a command for it to be suggested.
const typos = 2

// noArguments refuses arguments. Where there are subcommands, they were meant to be one.
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
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		hint = ", perhaps " + strings.Join(near, " or ")
	}

	return fmt.Errorf("unknown command %q%s; see '%s --help'", name, hint, parent.CommandPath())
}

// newHelpCommand is cobra's, but for a command that does not exist.
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

// refuseUnknownShells makes cobra's completion command treat arguments as the others do.
func refuseUnknownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()

	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = noArguments
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

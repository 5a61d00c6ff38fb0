// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/cli"
)

func newEmbedCommand() *cobra.Command {
	var (
		options cli.EmbedOptions
		verify  string
	)

	cmd := &cobra.Command{
		Use:   "embed {--talos DIR | --verify DIR}",
		Short: "Put rebound into a source tree of Talos, take it out, or check that it will start",
		Long: `Embed puts rebound into a source tree of Talos: the requirement in go.mod, the
controller and its resources in machined, and the health check in the cluster
checks, ahead of those that stall on the same problem without naming it. Running
it again changes nothing, and --revert restores the tree byte for byte. A tree
that it does not understand is refused before anything is written. What a run
that was killed has left undone is completed by the next one, and --revert takes
back what it has done.

It fits Talos v1.13.5 and later 1.13 releases, and the v1.14 line.

--verify type-checks what was edited and registers all of machined's namespaces,
resource definitions and controllers with a COSI runtime of its own: a conflict
there would be a boot loop. It builds most of machined for that, which takes
minutes the first time.

Exit codes:
  0  done
  1  failed
  2  wrong usage, or a tree that is not understood`,
		Example: `  # See what would be changed
  rebound embed --talos ~/src/talos --rebound-version v0.1.0 --dry-run

  # Embed a release, with the diagnostic that a stock talosctl waits for as well
  rebound embed --talos ~/src/talos --rebound-version v0.1.0 --diagnostics

  # Embed a checkout of rebound
  rebound embed --talos ~/src/talos --rebound-dir ~/src/rebound

  # Check that the result will start, and take it out again
  rebound embed --verify ~/src/talos
  rebound embed --talos ~/src/talos --revert`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A flag that is given and empty is a variable that was not set.
			given := func(flag string) bool {
				set := cmd.Flags().Lookup(flag)

				return set.Changed && set.Value.String() != ""
			}

			if err := checkEmbedFlags(given); err != nil {
				return cmd.FlagErrorFunc()(cmd, err)
			}

			if given("verify") {
				return cli.Verify(cmd.Context(), verify, cmd.OutOrStdout())
			}

			return cli.Embed(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	flags := cmd.Flags()

	flags.StringVar(&options.Talos, "talos", "", "folder with the source of Talos")
	flags.StringVar(&options.Version, "rebound-version", "", "release of rebound to embed (default that of this binary)")
	flags.StringVar(&options.Dir, "rebound-dir", "", "folder with the source of rebound to embed instead of a release")
	flags.BoolVar(&options.Diagnostics, "diagnostics", false, "add a diagnostic as well, for a stock talosctl and the console")
	flags.BoolVar(&options.DryRun, "dry-run", false, "print the changes as a unified diff and make none")
	flags.BoolVar(&options.Revert, "revert", false, "take out what was embedded")
	flags.StringVar(&verify, "verify", "", "folder with the source of Talos to check")

	for _, folder := range []string{"talos", "rebound-dir", "verify"} {
		if err := cmd.MarkFlagDirname(folder); err != nil {
			panic(err) // there is no such flag
		}
	}

	return cmd
}

// checkEmbedFlags finds flags that are missing, or make no sense together.
func checkEmbedFlags(isSet func(flag string) bool) error {
	if !isSet("talos") && !isSet("verify") {
		return errors.New("give --talos DIR to embed rebound into a source tree of Talos, or --verify DIR to check one")
	}

	for _, pair := range [][2]string{
		{"verify", "talos"},
		{"verify", "rebound-version"},
		{"verify", "rebound-dir"},
		{"verify", "diagnostics"},
		{"verify", "dry-run"},
		{"verify", "revert"},
		{"rebound-version", "rebound-dir"},
		{"revert", "rebound-version"},
		{"revert", "rebound-dir"},
		{"revert", "diagnostics"},
	} {
		if isSet(pair[0]) && isSet(pair[1]) {
			return fmt.Errorf("--%s does not go with --%s: give one of them", pair[0], pair[1])
		}
	}

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker where hack/release builds.
var version, commit string

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print what this binary was built from",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "rebound-coordinator %s\ncommit %s\n%s %s/%s\n",
				cmp.Or(version, "(unknown)"), cmp.Or(commit, "(unknown)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}

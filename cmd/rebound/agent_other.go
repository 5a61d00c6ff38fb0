// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newAgentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "Bring back a node's DaemonSet pods after a reboot (Linux only)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("the agent runs on nodes, which are Linux machines; this binary has the other commands only")
		},
	}
}

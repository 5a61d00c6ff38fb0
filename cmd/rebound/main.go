// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Rebound tells whether the nodes of a Talos cluster have their DaemonSet pods back after a reboot, for clusters whose
// Talos was built with the library of that name.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/talos-rebound/rebound/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Whoever presses Ctrl-C twice does not want to wait for anything.
	context.AfterFunc(ctx, stop)

	err := newCommand().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rebound:", err)
	}

	return cli.ExitCode(err)
}

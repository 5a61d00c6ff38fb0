// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Lab runs a real Kubernetes control plane and nodes with real kubelet code on
// one machine, without root, and reboots the nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/hack/lab/component"
)

func main() {
	component.RunIfAsked()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err) //nolint:errcheck // there is nowhere else to say it
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lab",
		Short: "A real control plane and nodes with real kubelet code on one machine",
		Long: `Lab runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
nodes with real kubelet code, each as a process of its own, and reboots the
nodes as Talos does.

It needs no root, no system package and no network but loopback. All state is
in one temporary folder, which is gone at the end, also after Ctrl-C.`,
		Example: `  # What lab can do
  lab --help

  # Keep the state in memory
  TMPDIR=/dev/shm lab --help`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

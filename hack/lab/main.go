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
	"github.com/talos-rebound/rebound/hack/lab/internal/demo"
)

func main() {
	component.RunIfAsked()

	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	return newCommand().ExecuteContext(ctx)
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "A real control plane and nodes with real kubelet code on one machine",
		Long: `Lab runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
nodes with real kubelet code, each as a process of its own, and reboots the
nodes as Talos does.

It needs no root, no system package and no network but loopback. All state is
in one temporary folder, which is gone at the end, also after Ctrl-C.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}

	root.AddCommand(newDemoCommand(), newUpCommand(), newRebootCommand())

	return root
}

func newDemoCommand() *cobra.Command {
	var options demo.Options

	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Reboot two nodes side by side, one with rebound and one without",
		Long: `Demo reboots two nodes gracefully and at the same moments, one with rebound and
one without, and measures how long each of them takes from a healthy kubelet
until all its DaemonSet pods are Ready. The wait of the node without rebound
doubles with every reboot: six take about five minutes, ten about an hour. Then
the node with rebound is rebooted once more while 'rebound health' waits for it.

It writes report.json, report.html and report.svg, and exits with 1 if the node
with rebound took longer than 10 s once, if a node deleted a pod that was not
Failed or not owned by a DaemonSet, or if the check did not wait and pass.`,
		Example: `  # Six reboots, reports in build/lab
  lab demo

  # Two reboots, state in memory, reports elsewhere
  TMPDIR=/dev/shm lab demo --reboots 2 --out report`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().IntVar(&options.Reboots, "reboots", 6, "how often to reboot the nodes")
	cmd.Flags().StringVar(&options.Out, "out", "build/lab", "folder for the reports")

	return cmd
}

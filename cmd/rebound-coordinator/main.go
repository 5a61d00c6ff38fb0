// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Command rebound-coordinator decides which nodes of a cluster may reboot, and when; it prepares them, and gives them back.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/coordinator"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/log"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/talos"
	"github.com/talos-rebound/rebound/internal/kube"
)

// gcPercent is how much garbage there may be for what is in use, in percent, unless the variable GOGC says otherwise. What is
// in use are the caches: a pod is two kilobytes at least, because it is a whole Pod to Go. With Go's own 100 a cluster of
// 100,000 pods takes 600 MiB, half of which is garbage.
const gcPercent = 25

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}

	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	// Whoever asks twice does not want to wait.
	context.AfterFunc(ctx, stop)

	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", kube.Describe(err))

		return 1
	}

	return 0
}

// options are the flags.
type options struct {
	kubeconfig  string
	talosconfig string
	logFormat   string
	config      coordinator.Config
}

const long = `rebound-coordinator decides which nodes may reboot, and when.

It reads RebootBudget, RebootPolicies and NodeReboots (reboot.rebound.dev/v1alpha1) and takes
one node after the other through cordon, drain, reboot and back. A node whose pods cannot be
evicted is given back, and the next one goes.

It usually runs as a Deployment: kubectl apply --server-side -k of
cmd/rebound-coordinator/deploy/base/crds, then of cmd/rebound-coordinator/deploy/base.
"rebound reboot status" shows the queue; "kubectl get nodereboots,rebootbudgets" does too.`

const example = `  # outside a cluster, with the rights of a kubeconfig
  rebound-coordinator --kubeconfig ~/.kube/config --leader-election-namespace rebound-system

  # with nodes that run Talos
  rebound-coordinator --talosconfig /var/run/secrets/talos.dev/config`

func newCommand() *cobra.Command {
	var o options

	command := &cobra.Command{
		Use:           "rebound-coordinator",
		Short:         "Let nodes reboot, in order and never too many at a time",
		Long:          long,
		Example:       example,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig to use outside a cluster; inside, the pod's service account is used")
	flags.StringVar(&o.talosconfig, "talosconfig", "", "talosconfig with the role os:operator, to reboot nodes that run Talos")
	flags.BoolVar(&o.config.LeaderElection, "leader-elect", true, "let only one of several replicas work")
	flags.StringVar(&o.config.LeaseNamespace, "leader-election-namespace", "", "namespace of the Lease (default that of the pod)")
	flags.DurationVar(&o.config.LeaseDuration, "lease-duration", 15*time.Second, "how long others wait for a leader that is silent")
	flags.DurationVar(&o.config.RenewDeadline, "renew-deadline", 10*time.Second, "how long a leader goes on that cannot renew its Lease")
	flags.DurationVar(&o.config.RetryPeriod, "retry-period", 2*time.Second, "time between two tries to get or renew the Lease")
	flags.IntVar(&o.config.Evictions, "parallel-evictions", 10, "how many pods are evicted at a time")
	flags.StringVar(&o.config.Health, "health-listen", ":8081", "address of /healthz and /readyz; 0 for none")
	flags.StringVar(&o.config.Metrics, "metrics-listen", ":8080", "address of /metrics; 0 for none")
	flags.StringVar(&o.logFormat, "log-format", log.FormatJSON, "json or console")

	command.AddCommand(newVersionCommand())

	return command
}

func (o *options) run(ctx context.Context) error {
	logger, err := log.New(o.logFormat)
	if err != nil {
		return err
	}

	defer logger.Sync() //nolint:errcheck // standard error cannot be synced everywhere

	log.Share(logger)

	if o.config.Client, err = o.client(); err != nil {
		return err
	}

	o.config.Logger = logger

	if o.talosconfig != "" {
		o.config.Talos = talos.New(o.talosconfig)
	}

	logger.Info("starting", zap.String("api_server", o.config.Client.Host), zap.Bool("talos", o.talosconfig != ""))

	return coordinator.Run(ctx, o.config)
}

func (o *options) client() (*rest.Config, error) {
	if o.kubeconfig != "" {
		return kube.Load(o.kubeconfig)
	}

	config, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, errors.New("not in a cluster: give --kubeconfig")
	}

	return config, err
}

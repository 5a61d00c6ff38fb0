// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/agent"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/cli"
)

// defaultMetrics is where an agent listens unless it is told otherwise.
const defaultMetrics = "127.0.0.1:9796"

// agentFlags are those flags of the agent that are not fields of its configuration as they stand.
type agentFlags struct {
	platform, dataDir, caData, logFormat string
}

func newAgentCommand() *cobra.Command {
	var (
		config agent.Config
		given  agentFlags
	)

	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Bring back this node's DaemonSet pods after a reboot, without a Talos of your own",
		Long: `Agent runs on a node, beside its kubelet and with its identity. After a boot it
deletes this node's DaemonSet pods that are stuck Failed, as machined does on a
Talos that was built with rebound, and says on the Node object how that went.

It is not started by hand: 'rebound manifest' prints the static pod or the unit
that runs it, and 'rebound install' puts that into place. SIGTERM ends it at
once, in the middle of a request if need be.

With --reboots it is also the node's half of coordinated reboots. It says in an
annotation that the host wants to be rebooted, while the sentinel file exists or
the sentinel command exits with 0, and reboots the host once rebound-coordinator
has granted that for the present boot. Whoever may annotate this Node may then
reboot the host. Commands are run by /bin/sh -c, so '! needs-restarting -r' is
one. A sentinel command that cannot be run, is killed or takes longer than 50
seconds changes nothing. A reboot that fails is tried again, and the annotation
says why.

What it tells:
  condition   recovery.talos.dev/DaemonSetsRecovered on the Node
  annotation  recovery.talos.dev/status on the Node, with the boot id
  annotation  reboot.rebound.dev/agent on the Node, with --reboots
  events      one for each pod that was deleted, on its DaemonSet
  metrics     http://` + defaultMetrics + `/metrics
  status      rebound status --socket ` + defaultSocket + `

It sends nothing to the API server between two reboots; with --reboots it watches
the metadata of its own Node. Where graceful node
shutdown is off (kubeadm, K3s and RKE2 by default), a reboot leaves no pods
behind as Failed; what the kubelet rejects after it is still brought back.

Exit codes:
  0  it was told to end
  2  wrong usage or configuration`,
		Example: `  # What it would delete on this host, and nothing more
  rebound agent --dry-run --log-format console

  # On a host with dnf, which has no file that tells of a reboot
  rebound agent --platform systemd --reboots --reboot-sentinel= \
    --reboot-sentinel-command '! needs-restarting -r'

  # On a Talos that enforces SELinux, where pods may not read /etc/kubernetes
  rebound agent --platform talos --server https://127.0.0.1:7445 \
    --ca-data LS0tLS1CRUdJTi… --client-cert /var/lib/kubelet/pki/kubelet-client-current.pem`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			where, err := complement(&config, given)
			if err != nil {
				return err
			}

			logger, err := cli.NewLogger(cmd.ErrOrStderr(), given.logFormat)
			if err != nil {
				return err
			}

			config.Logger = logger

			// Of other hosts with systemd it is not known: EKS has it on.
			if where.Manifests != "" && !where.GracefulByDefault {
				logger.Info("graceful node shutdown is off unless the kubelet's shutdownGracePeriod is set; "+
					"without it a reboot leaves no Failed pods, and what the kubelet rejects is all there is to bring back",
					zap.String("platform", string(where.Name)))
			}

			return agent.Run(cmd.Context(), config)
		},
	}

	flags := cmd.Flags()
	flags.StringVar(&given.platform, "platform", string(platform.Auto), "where the kubelet's files are: auto, talos, kubeadm, k3s, rke2 or systemd")
	flags.StringVar(&given.dataDir, "data-dir", "", "data directory of K3s or RKE2 (default that of the platform)")
	flags.StringVar(&config.Kubeconfig, "kubeconfig", "", "the kubelet's kubeconfig (default that of the platform)")
	flags.StringVar(&config.Server, "server", "", "URL of the API server, in place of a kubeconfig")
	flags.StringVar(&given.caData, "ca-data", "", "its certificate authority, in base64 as in a kubeconfig")
	flags.StringVar(&config.ClientCertificate, "client-cert", "", "the kubelet's client certificate with its key, a file in PEM form")
	flags.StringVar(&config.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of the Node (default $NODE_NAME, then that of the client certificate)")
	flags.StringVar(&config.Healthz, "kubelet-healthz", "", "the kubelet's health endpoint (default http://127.0.0.1:10248/healthz)")
	flags.StringVar(&config.Metrics, "metrics-listen", defaultMetrics, "address on which to serve metrics; empty for none")
	flags.StringVar(&config.Socket, "socket", defaultSocket, "unix socket for 'rebound status --socket'; empty for none")
	flags.StringVar(&config.Root, "host-root", "", "folder that the host's files are below, for a container that mounts them elsewhere")
	flags.DurationVar(&config.SettleTime, "settle-time", 0, "how long nothing may be Failed or missing before the node counts as recovered (default 12s)")
	flags.BoolVar(&config.DryRun, "dry-run", false, "only say what would be deleted or rebooted, and write nothing to the API server")
	flags.StringVar(&given.logFormat, "log-format", cli.LogJSON, "json or console")

	addReboots(cmd, &config.Reboots)

	complete(cmd, "platform", cobra.FixedCompletions(platform.Names(), cobra.ShellCompDirectiveNoFileComp))
	complete(cmd, "log-format", cobra.FixedCompletions([]string{cli.LogJSON, cli.LogConsole}, cobra.ShellCompDirectiveNoFileComp))

	return cmd
}

// complement fills in what follows from the platform, and returns that.
func complement(config *agent.Config, given agentFlags) (platform.Platform, error) {
	if given.caData != "" {
		ca, err := base64.StdEncoding.DecodeString(given.caData)
		if err != nil {
			return platform.Platform{}, fmt.Errorf("--ca-data is not base64, as certificate-authority-data of a kubeconfig is: %w", err)
		}

		config.CAData = ca
	}

	if config.Server != "" && config.Kubeconfig != "" {
		return platform.Platform{}, errors.New("give either --kubeconfig or --server, not both")
	}

	where, err := findPlatform(given, config)
	if err != nil {
		return platform.Platform{}, err
	}

	if err = config.Reboots.Check(rebootedOn(where, config)); err != nil {
		return platform.Platform{}, err
	}

	if config.Healthz == "" {
		config.Healthz = where.Healthz
	}

	if config.Kubeconfig == "" && config.Server == "" {
		config.Kubeconfig = filepath.Join("/", config.Root, where.Kubeconfig)
	}

	config.Logind = where.Logind

	return where, nil
}

// rebootedOn is the platform that the agent would reboot. Who names the credentials need not name the platform, and if that
// is Talos, a call of logind would take the D-Bus from the kubelet.
func rebootedOn(where platform.Platform, config *agent.Config) platform.Name {
	if where.Name != "" {
		return where.Name
	}

	// Where it cannot be told nothing is known of it.
	found, err := platform.Detect(config.Root)
	if err != nil {
		return ""
	}

	return found.Name
}

func findPlatform(given agentFlags, config *agent.Config) (platform.Platform, error) {
	if platform.Name(given.platform) != platform.Auto {
		return platform.Lookup(platform.Name(given.platform), given.dataDir)
	}

	if given.dataDir != "" {
		return platform.Platform{}, errors.New("--data-dir needs --platform k3s or --platform rke2")
	}

	// Whoever names the credentials may run where no platform is to be found. Nothing is assumed of it then.
	if config.Kubeconfig != "" || config.Server != "" {
		return platform.Platform{Healthz: platform.Healthz}, nil
	}

	return platform.Detect(config.Root)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/cli"
)

func newManifestCommand() *cobra.Command {
	var options cli.AgentOptions

	platforms := platform.Names()[1:]

	cmd := &cobra.Command{
		Use:   "manifest --platform {" + strings.Join(platforms, " | ") + "}",
		Short: "Print what runs the agent on a node: static pod, machine config patch or unit",
		Long: `Manifest prints what runs the agent on a node that cannot have rebound in machined:
a static pod, for Talos the machine config patch that has it, for systemd a unit.
It writes nothing and asks nobody. On the node itself rebound install writes it
where it belongs.

The pod has the kubelet's kubeconfig and certificates, read-only, and no rights
besides. On Talos with SELinux enforcing a pod must not read the kubeconfig;
with --ca-data it does without.

With --reboots the pod also has the host's D-Bus and the folder of the sentinel,
read-only, and no AppArmor profile, with which it could not use the D-Bus. That is
as good as root on the host: leave it out where nothing else may have that. Where
the runtime labels containers, the D-Bus needs --selinux-type spc_t as well.

Exit codes:
  0  printed
  1  failed to write it
  2  wrong usage`,
		Example: `  # A stock Talos node
  rebound manifest --platform talos > rebound.yaml
  talosctl patch machineconfig --nodes 10.5.0.3 --patch @rebound.yaml

  # The same with SELinux enforcing
  rebound manifest --platform talos --ca-data "$(kubectl config view --raw --minify \
    --output jsonpath='{.clusters[0].cluster.certificate-authority-data}')"

  # K3s with an image of one's own and another data directory
  rebound manifest --platform k3s --data-dir /data/k3s --image registry.internal/rebound:v0.1.0

  # RKE2 with selinux: true, where an ordinary pod may read nothing of the host
  rebound manifest --platform rke2 --selinux-type spc_t

  # An agent that reboots the host when rebound-coordinator grants it
  rebound manifest --platform kubeadm --reboots

  # An agent that deletes nothing and says what it would delete
  rebound manifest --platform kubeadm --agent-dry-run`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.Platform == "" {
				return cmd.FlagErrorFunc()(cmd, errors.New("give --platform with one of "+strings.Join(platforms, ", ")))
			}

			return cli.Manifest(options, cmd.OutOrStdout())
		},
	}

	addAgent(cmd, &options)

	return cmd
}

// addAgent adds the flags that say how the agent runs. Those that rebound agent has as well are called as there.
func addAgent(cmd *cobra.Command, options *cli.AgentOptions) {
	flags := cmd.Flags()

	addPlatform(cmd, &options.Platform, &options.DataDir)
	flags.StringVar(&options.Image, "image", "", "image of the static pod, with a tag or a digest (default that of --version)")
	flags.StringVar(&options.Version, "version", "", "release of rebound whose image is run (default that of this binary)")
	flags.StringVar(&options.SELinuxType, "selinux-type", "", "SELinux type of the static pod, spc_t where containers are confined (default that of the runtime)")
	flags.StringVar(&options.Binary, "binary", "", "path of rebound on the host, for systemd (default that of this binary, or "+manifest.DefaultBinary+")")
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig of the kubelet (default that of the platform)")
	flags.StringVar(&options.Server, "server", "", "URL of the API server, in place of a kubeconfig")
	flags.StringVar(&options.CAData, "ca-data", "", "authority of the cluster in base64, in place of a kubeconfig")
	flags.StringVar(&options.ClientCert, "client-cert", "", "file with certificate and key of the kubelet, in place of a kubeconfig")
	flags.StringVar(&options.NodeName, "node-name", "", "name of the node, for systemd where the kubelet has no certificate")
	flags.StringVar(&options.MetricsListen, "metrics-listen", "", "address of the agent's metrics (default that of the agent, on loopback)")
	flags.StringVar(&options.KubeletHealthz, "kubelet-healthz", "", "health URL of the kubelet (default that of the platform)")
	flags.StringVar(&options.LogFormat, "log-format", "", "format of the agent's log: json or console (default that of the agent)")
	flags.BoolVar(&options.AgentDryRun, "agent-dry-run", false, "let the agent do nothing and say what it would do")

	addReboots(cmd, &options.Reboots)
}

// addPlatform adds the flags that say what kind of node it is.
func addPlatform(cmd *cobra.Command, name, dataDir *string) {
	flags := cmd.Flags()

	flags.StringVar(name, "platform", *name, "kind of node: "+strings.Join(platform.Names(), ", "))
	flags.StringVar(dataDir, "data-dir", "", "data directory of K3s or RKE2 (default /var/lib/rancher/k3s or rke2)")

	if err := cmd.RegisterFlagCompletionFunc("platform", cobra.FixedCompletions(platform.Names(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime/debug"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// AgentOptions are what a manifest or a unit may say of the agent that it runs.
type AgentOptions struct {
	// Platform is the name of the platform.
	Platform string
	// DataDir is the data directory of K3s and RKE2; empty means the default.
	DataDir string
	// Image is the image of a static pod; empty means that of Version.
	Image string
	// Version is a release of rebound; empty means that of this binary.
	Version string
	// SELinuxType is the SELinux type of a static pod; empty means that of the container runtime.
	SELinuxType string
	// Binary is rebound on the host, for a unit.
	Binary string

	// Kubeconfig is the kubelet's kubeconfig; empty means that of the platform.
	Kubeconfig string
	// Server, CAData and ClientCert take the place of the kubeconfig.
	Server, CAData, ClientCert string

	// Reboots is the agent's part in coordinated reboots.
	Reboots platform.Reboots

	// NodeName, MetricsListen, KubeletHealthz and LogFormat are passed on; what is empty is not.
	NodeName, MetricsListen, KubeletHealthz, LogFormat string
	// AgentDryRun makes an agent that deletes nothing and says what it would delete.
	AgentDryRun bool
}

// Manifest prints what runs the agent on a platform: a static pod, the machine config patch that has it for Talos, or a
// systemd unit.
func Manifest(options AgentOptions, out io.Writer) error {
	if options.Platform == string(platform.Auto) {
		return fmt.Errorf("a manifest is for one platform: give --platform with one of %s", strings.Join(platform.Names()[1:], ", "))
	}

	on, err := platform.Lookup(platform.Name(options.Platform), options.DataDir)
	if err != nil {
		return err
	}

	text, err := options.render(on)
	if err != nil {
		return err
	}

	if _, err = out.Write(text); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	return nil
}

func (options AgentOptions) render(on platform.Platform) ([]byte, error) {
	if err := options.validate(on); err != nil {
		return nil, err
	}

	image := options.Image

	if image == "" && on.Name != platform.Systemd {
		version := options.Version

		if version == "" {
			var err error

			if version, err = ownVersion(); err != nil {
				return nil, errors.New("this binary was not built from a release: say which image to run with --image, or with --version")
			}
		}

		image = manifest.Repository + ":" + version
	}

	return manifest.Render(on, manifest.Options{
		Version: writtenBy(), Image: image, SELinuxType: options.SELinuxType, Binary: options.Binary,
		Kubeconfig: options.Kubeconfig, Server: options.Server, CAData: options.CAData, ClientCert: options.ClientCert,
		Reboots: options.Reboots, Args: options.args(),
	})
}

// validate finds what makes no sense together.
func (options AgentOptions) validate(on platform.Platform) error {
	unit := on.Name == platform.Systemd

	switch {
	case unit && (options.Image != "" || options.Version != "" || options.SELinuxType != ""):
		return errors.New("--image, --version and --selinux-type are for static pods: on systemd the agent is the binary that --binary names")
	case !unit && options.Binary != "":
		return fmt.Errorf("--binary is for systemd: on %s the agent is a static pod, give --image or --version", on.Name)
	case options.Image != "" && options.Version != "":
		return errors.New("--image does not go with --version: give one of them")
	case options.Version != "" && semver.Canonical(options.Version) != options.Version:
		return fmt.Errorf("%q is not a version of rebound: give one of the form v1.2.3 with --version", options.Version)
	default:
		return options.validatePassedOn(on)
	}
}

// validatePassedOn refuses what the agent would refuse on the node, where nobody sees it.
func (options AgentOptions) validatePassedOn(on platform.Platform) error {
	if options.LogFormat != "" && options.LogFormat != "json" && options.LogFormat != "console" {
		return fmt.Errorf("unknown log format %q: use json or console", options.LogFormat)
	}

	if options.MetricsListen != "" {
		if _, _, err := net.SplitHostPort(options.MetricsListen); err != nil {
			return fmt.Errorf("--metrics-listen %q is not an address with a port: give one such as 127.0.0.1:9100", options.MetricsListen)
		}
	}

	if options.KubeletHealthz != "" {
		if health, err := url.Parse(options.KubeletHealthz); err != nil || health.Host == "" || health.Scheme != "http" && health.Scheme != "https" {
			return fmt.Errorf("--kubelet-healthz %q is not a URL: give one such as %s", options.KubeletHealthz, on.Healthz)
		}
	}

	return nil
}

// args are the flags of rebound agent that are passed on.
func (options AgentOptions) args() []string {
	var args []string

	for _, flag := range []struct{ name, value string }{
		{"node-name", options.NodeName},
		{"metrics-listen", options.MetricsListen},
		{"kubelet-healthz", options.KubeletHealthz},
		{"log-format", options.LogFormat},
	} {
		if flag.value != "" {
			args = append(args, "--"+flag.name+"="+flag.value)
		}
	}

	if options.AgentDryRun {
		args = append(args, "--dry-run")
	}

	return args
}

// writtenBy is the version of this binary, whatever it was built from. A unit that another version has written is
// replaced because of it, which restarts an agent whose binary was replaced.
func writtenBy() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}

	return "(devel)"
}

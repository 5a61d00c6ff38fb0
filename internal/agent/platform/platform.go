// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package platform knows where the distributions of Kubernetes keep what rebound's agent needs of a node. It is data, and
// a look at the host that tells which of them it is; it reads no file.
//
// The facts are from these sources:
//
//   - Talos v1.13.9: pkg/machinery/constants/constants.go:348 (pki), :354 (graceful shutdown), :409 (kubeconfig);
//     internal/app/machined/pkg/system/services/kubelet.go:222 (health)
//   - Kubernetes v1.36.3: cmd/kubeadm/app/constants/constants.go:38,40,161 (kubeadm's folders and kubelet.conf),
//     cmd/kubelet/app/options/options.go:140 (pki), pkg/kubelet/apis/config/v1beta1/defaults.go:126 (health). Graceful
//     shutdown is off unless shutdownGracePeriod is set, and kubeadm does not set it.
//   - K3s: pkg/agent/config/config.go, get: <data>/agent has kubelet.kubeconfig, the certificate, key and authority that
//     it names, and pod-manifests. They are written in place while K3s starts, but anew after "certificate rotate".
//   - RKE2 (rancher/rke2 6ce1a801): pkg/executor/staticpod/spw.go:47 (pod-manifests), pkg/cli/cmds/server.go:19 (data);
//     the rest is K3s' code. It removes static pods of its own only, by name: cleanup.go:28, pkg/rke2/spc.go:79.
//   - EKS AL2023 (awslabs/amazon-eks-ami 81fec2e8): nodeadm/internal/kubelet/kubeconfig.go:17 and
//     kubeconfig.template.yaml (an exec plugin, and an authority in /etc/kubernetes/pki), config.go:245 (graceful
//     shutdown from 1.34).
package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/siderolabs/gen/xslices"
)

// Name is a distribution of Kubernetes, as far as its nodes differ for the agent.
type Name string

const (
	// Auto is no platform; it asks for that of the host, see Detect.
	Auto Name = "auto"
	// Talos is a stock Talos Linux, without rebound in machined.
	Talos Name = "talos"
	// Kubeadm is any host that kubeadm made a node.
	Kubeadm Name = "kubeadm"
	// K3s is K3s as a server or as an agent.
	K3s Name = "k3s"
	// RKE2 is RKE2 as a server or as an agent.
	RKE2 Name = "rke2"
	// Systemd is any other host with systemd, such as a node of EKS with Amazon Linux 2023.
	Systemd Name = "systemd"
)

// Healthz is where the kubelet of every platform tells whether it is healthy, unless it is configured otherwise. K3s and
// RKE2 use [::1] on hosts without IPv4.
const Healthz = "http://127.0.0.1:10248/healthz"

// Platform is what the agent needs to know of a node. All paths are absolute, and those of the host.
type Platform struct {
	Name Name
	// Kubeconfig is the kubelet's kubeconfig.
	Kubeconfig string
	// PKI are the folders with the files that Kubeconfig names. A container needs them at their own path, because they
	// are named by absolute paths, and as folders, because the files in them are replaced when they are rotated. Systemd
	// has none: there is no container.
	PKI []string
	// Manifests is the folder of static pods; empty on Talos, which has them in its machine config, and on Systemd.
	Manifests string
	// Healthz is the kubelet's health URL.
	Healthz string
	// Logind is whether logind may be asked for signs of a shutdown. It must not on Talos, whose D-Bus broker serves one
	// client: it would be taken away from the kubelet.
	Logind bool
	// GracefulByDefault is whether the kubelet shuts a node down gracefully unless it is told not to. EKS does so since
	// 1.34, other hosts with systemd do not, so it is false for Systemd.
	GracefulByDefault bool
}

// platforms are all platforms with their default folders, in the order in which Detect looks for them.
var platforms = []Platform{
	{
		Name:       Talos,
		Kubeconfig: "/etc/kubernetes/kubeconfig-kubelet", PKI: []string{"/var/lib/kubelet/pki"},
		Healthz: Healthz, GracefulByDefault: true,
	},
	{
		Name:       Kubeadm,
		Kubeconfig: "/etc/kubernetes/kubelet.conf", PKI: []string{"/var/lib/kubelet/pki"}, Manifests: "/etc/kubernetes/manifests",
		Healthz: Healthz,
	},
	rancher(K3s, "/var/lib/rancher/k3s"),
	rancher(RKE2, "/var/lib/rancher/rke2"),
	{
		Name:       Systemd,
		Kubeconfig: "/var/lib/kubelet/kubeconfig",
		Healthz:    Healthz, Logind: true,
	},
}

func rancher(name Name, dataDir string) Platform {
	agent := path.Join(dataDir, "agent")

	return Platform{
		Name:       name,
		Kubeconfig: path.Join(agent, "kubelet.kubeconfig"), PKI: []string{agent}, Manifests: path.Join(agent, "pod-manifests"),
		Healthz: Healthz,
	}
}

// Names are all names, Auto first.
func Names() []string {
	return append([]string{string(Auto)}, xslices.Map(platforms, func(platform Platform) string { return string(platform.Name) })...)
}

// Lookup is the platform of that name, which is not Auto. An empty dataDir means the default; only K3s and RKE2 have one.
func Lookup(name Name, dataDir string) (Platform, error) {
	for _, platform := range platforms {
		switch {
		case platform.Name != name:
			continue
		case dataDir == "":
			return platform, nil
		case name != K3s && name != RKE2:
			return Platform{}, fmt.Errorf("platform %s has no data directory: only %s and %s have one", name, K3s, RKE2)
		}

		if err := CheckPath(dataDir); err != nil {
			return Platform{}, fmt.Errorf("failed to use data directory: %w", err)
		}

		return rancher(name, dataDir), nil
	}

	return Platform{}, fmt.Errorf("unknown platform %q: use one of %s", string(name), strings.Join(Names()[1:], ", "))
}

// CheckPath tells whether a path is one that a pod can mount at the same place: absolute, clean, and without colons
// (Kubernetes v1.36.3 pkg/apis/core/validation/validation.go, ValidateVolumeMounts and validatePathNoBacksteps).
func CheckPath(name string) error {
	switch {
	case !utf8.ValidString(name):
		return fmt.Errorf("%q is not in UTF-8", name)
	case !path.IsAbs(name):
		return fmt.Errorf("%q is not an absolute path", name)
	case path.Clean(name) != name:
		return fmt.Errorf("%q has to be written as %q", name, path.Clean(name))
	case name == "/" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }):
		return fmt.Errorf("%q cannot be mounted: use a folder whose name has no colon and no space", name)
	default:
		return nil
	}
}

// Detect tells which platform a host is by the kubelet's kubeconfig, at its default place. Root is the folder below which
// it looks, for tests and images; empty is the host itself.
func Detect(root string) (Platform, error) {
	var (
		found         []Platform
		looked, named []string
	)

	for _, platform := range platforms {
		looked = append(looked, platform.Kubeconfig)

		switch _, err := os.Stat(filepath.Join(root, filepath.FromSlash(platform.Kubeconfig))); {
		case err == nil:
			found = append(found, platform)
			named = append(named, fmt.Sprintf("%s (%s)", platform.Name, platform.Kubeconfig))
		case errors.Is(err, fs.ErrPermission):
			return Platform{}, fmt.Errorf("failed to look for the kubelet's kubeconfig: %w; run it as root, or give --platform", err)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return Platform{}, fmt.Errorf("failed to look for the kubelet's kubeconfig: %w", err)
		}
	}

	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Platform{}, fmt.Errorf("no kubeconfig of a kubelet found, looked for %s: has this host joined a cluster? "+
			"If so give --platform, and --kubeconfig or --data-dir where it is elsewhere", strings.Join(looked, ", "))
	default:
		return Platform{}, fmt.Errorf("this host looks like %s: say which it is with --platform", strings.Join(named, " and "))
	}
}

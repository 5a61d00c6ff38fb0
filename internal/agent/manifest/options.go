// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	certutil "k8s.io/client-go/util/cert"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

const (
	// Repository is where released images are.
	Repository = "ghcr.io/talos-rebound/rebound"
	// DefaultBinary is where the unit expects rebound.
	DefaultBinary = "/usr/local/bin/rebound"

	// runFolder is the folder of the agent's socket, on the host and for the agent.
	runFolder = "/run/rebound"
	socket    = runFolder + "/agent.sock"

	// KubePrism is Talos' own balancer in front of the API servers, on every node (Talos v1.13.9
	// pkg/machinery/constants/constants.go:1212). The kubelet's certificate is good for it.
	kubePrism = "https://127.0.0.1:7445"
	// currentCertificate is the kubelet's certificate and key in its pki folder.
	currentCertificate = "kubelet-client-current.pem"
)

// Options are what is rendered besides the platform. The zero value is enough but for Image, which every static pod
// needs.
type Options struct {
	// Version is the version of rebound that renders. It stands in the first line.
	Version string
	// Image is the image of the pod, with a tag or a digest.
	Image string
	// SELinuxType is the pod's SELinux type; empty means that of the container runtime.
	SELinuxType string
	// Binary is the path of rebound on the host, for a unit; empty means DefaultBinary.
	Binary string
	// Kubeconfig is the kubelet's kubeconfig where it is not at the platform's place.
	Kubeconfig string

	// Server, CAData and ClientCert take the place of the kubeconfig where a container may not read it, as on Talos with
	// SELinux enforcing. All of them are needed; on Talos Server and ClientCert have a default.
	Server string
	// CAData is the cluster's authority as it stands in a kubeconfig, PEM in base64.
	CAData string
	// ClientCert is the file with the kubelet's certificate and key.
	ClientCert string

	// Reboots is the agent's part in coordinated reboots.
	Reboots platform.Reboots

	// Args are further flags of rebound agent, as they are.
	Args []string
}

// complete fills in what follows from the platform, and refuses what makes no valid pod or unit.
func (options Options) complete(on platform.Platform) (Options, error) {
	if on.Name == platform.Systemd && options.Binary == "" {
		options.Binary = DefaultBinary
	}

	if options.Server != "" || options.CAData != "" || options.ClientCert != "" {
		options = options.completeCredentials(on)

		if err := options.checkCredentials(on); err != nil {
			return options, err
		}
	}

	for _, check := range []func(platform.Platform) error{options.checkKubeconfig, options.checkReboots} {
		if err := check(on); err != nil {
			return options, err
		}
	}

	for _, text := range append(options.args(on), options.Version) {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return options, fmt.Errorf("failed to use %q: it has characters that cannot be printed", text)
		}
	}

	if on.Name == platform.Systemd {
		return options, wrap("failed to use binary", platform.CheckPath(options.Binary))
	}

	if options.SELinuxType != "" && !selinuxType.MatchString(options.SELinuxType) {
		return options, fmt.Errorf("%q is not an SELinux type: give one such as spc_t", options.SELinuxType)
	}

	return options, checkImage(options.Image)
}

// completeCredentials fills in what every Talos node has.
func (options Options) completeCredentials(on platform.Platform) Options {
	if on.Name == platform.Talos {
		options.Server = cmp.Or(options.Server, kubePrism)
		options.ClientCert = cmp.Or(options.ClientCert, path.Join(on.PKI[0], currentCertificate))
	}

	return options
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}

	return fmt.Errorf("%s: %w", what, err)
}

func (options Options) checkKubeconfig(on platform.Platform) error {
	switch {
	case options.Kubeconfig == "":
		return nil
	case slices.Contains(append([]string{runFolder}, on.PKI...), options.Kubeconfig):
		return fmt.Errorf("failed to use kubeconfig: %q is a folder that the agent needs besides", options.Kubeconfig)
	default:
		return wrap("failed to use kubeconfig", platform.CheckPath(options.Kubeconfig))
	}
}

// checkCredentials refuses what does not stand in for a kubeconfig.
func (options Options) checkCredentials(on platform.Platform) error {
	switch {
	case options.Kubeconfig != "":
		return errors.New("--kubeconfig does not go with --server, --ca-data and --client-cert: give it or them")
	case options.Server == "" || options.CAData == "" || options.ClientCert == "":
		return errors.New("--server, --ca-data and --client-cert stand in for a kubeconfig together: give all of them (on talos --ca-data is enough)")
	}

	if server, err := url.Parse(options.Server); err != nil || server.Scheme != "https" || server.Host == "" {
		return fmt.Errorf("--server %q is not the URL of an API server: give one such as %s", options.Server, kubePrism)
	}

	if err := checkAuthority(options.CAData); err != nil {
		return fmt.Errorf("failed to read --ca-data: %w; give certificate-authority-data of a kubeconfig of this cluster", err)
	}

	if err := platform.CheckPath(options.ClientCert); err != nil {
		return fmt.Errorf("failed to use --client-cert: %w", err)
	}

	if folder := path.Dir(options.ClientCert); on.Name != platform.Systemd && !slices.Contains(on.PKI, folder) {
		return fmt.Errorf("--client-cert %q is not in %s, which is what the pod has of the host", options.ClientCert, strings.Join(on.PKI, ", "))
	}

	return nil
}

func checkAuthority(data string) error {
	pem, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return err
	}

	_, err = certutil.ParseCertsPEM(pem)

	return err
}

var selinuxType = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// reference is the name of an image as registries have it: host and port, path, tag, digest.
var reference = regexp.MustCompile(`^(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?` +
	`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
	`(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

// checkImage refuses images that would not be the same after a restart.
func checkImage(image string) error {
	parts := reference.FindStringSubmatch(image)

	switch {
	case image == "":
		return errors.New("a static pod needs an image: give --image, or --version for that of a release")
	case parts == nil:
		return fmt.Errorf("%q is not the name of an image: give one such as %s:v0.1.0", image, Repository)
	case parts[2] == "" && (parts[1] == "" || parts[1] == "latest"):
		return fmt.Errorf("image %q has no version: give it a tag other than latest, or a digest", image)
	default:
		return nil
	}
}

// args are the arguments of rebound on this platform.
func (options Options) args(on platform.Platform) []string {
	args := []string{"agent", "--platform=" + string(on.Name)}

	// A data directory is in it.
	if kubeconfig := options.kubeconfig(on); kubeconfig != "" {
		if usual, err := platform.Lookup(on.Name, ""); err != nil || usual.Kubeconfig != kubeconfig {
			args = append(args, "--kubeconfig="+kubeconfig)
		}
	} else {
		args = append(args, "--server="+options.Server, "--ca-data="+options.CAData, "--client-cert="+options.ClientCert)
	}

	args = append(append(args, "--socket="+socket), options.rebootArgs()...)

	return append(args, options.Args...)
}

// kubeconfig is the kubelet's kubeconfig; empty if the agent does without.
func (options Options) kubeconfig(on platform.Platform) string {
	switch {
	case options.Server != "":
		return ""
	case options.Kubeconfig != "":
		return options.Kubeconfig
	default:
		return on.Kubeconfig
	}
}

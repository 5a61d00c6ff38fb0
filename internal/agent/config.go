// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/agent/host"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/kube"
	reboundctrl "github.com/talos-rebound/rebound/pkg/controllers/recovery"
)

// Config is what an agent runs with.
type Config struct {
	// Kubeconfig is the path of the kubelet's kubeconfig.
	Kubeconfig string
	// Server, CAData and ClientCertificate take the place of Kubeconfig where that may not be read, as on a Talos that enforces
	// SELinux: the URL of the API server, its authority's certificates in PEM form, and the path of the kubelet's client
	// certificate with its key. All of them, or none.
	Server            string
	CAData            []byte
	ClientCertificate string
	// NodeName is the name of the Node; empty takes it from the client certificate.
	NodeName string
	// Healthz is the URL of the kubelet's health endpoint.
	Healthz string
	// Logind is whether to listen to systemd-logind for shutdowns.
	Logind bool
	// Metrics is the address on which Prometheus' metrics are served; empty for none.
	Metrics string
	// Socket is the path of the unix socket on which the resources are served; empty for none.
	Socket string
	// Root is where the host's /proc is, in case it is not at the root of this process; empty if it is.
	Root string
	// Reboots is the agent's part in coordinated reboots.
	Reboots platform.Reboots
	// DryRun only says what would be done, and writes nothing to the API server.
	DryRun bool
	// SettleTime is how long nothing may be Failed or missing before the node counts as recovered; zero for the default.
	SettleTime time.Duration
	Logger     *zap.Logger
}

// earliest is before any clock that was set. The certificates of a cluster would not be valid on one that was not.
var earliest = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// usesFlags tells whether there is no kubeconfig to read.
func (c *Config) usesFlags() bool { return c.Server != "" }

// validate finds what no time will heal.
func (c *Config) validate() error {
	if given := c.Server != ""; given != (len(c.CAData) > 0) || given != (c.ClientCertificate != "") {
		return errors.New("--server, --ca-data and --client-cert go together: give all of them, or --kubeconfig")
	}

	switch {
	case c.usesFlags():
		if server, err := url.Parse(c.Server); err != nil || server.Scheme != "https" || server.Host == "" {
			return fmt.Errorf("--server %q is not a URL such as https://127.0.0.1:7445", c.Server)
		}

		if !filepath.IsAbs(c.ClientCertificate) {
			return fmt.Errorf("--client-cert %q is not an absolute path", c.ClientCertificate)
		}
	case !filepath.IsAbs(c.Kubeconfig):
		return fmt.Errorf("--kubeconfig %q is not an absolute path", c.Kubeconfig)
	}

	if c.NodeName != "" {
		if err := host.CheckNodename(c.NodeName); err != nil {
			return fmt.Errorf("--node-name: %w", err)
		}
	}

	if healthz, err := url.Parse(c.Healthz); err != nil || healthz.Scheme != "http" || healthz.Host == "" {
		return fmt.Errorf("--kubelet-healthz %q is not a URL such as http://127.0.0.1:10248/healthz", c.Healthz)
	}

	// For which platform this is only its caller knows.
	if err := c.Reboots.Check(""); err != nil {
		return err
	}

	return c.checkAccess()
}

// checkAccess finds files that this user may not read. One that is not there may come.
func (c *Config) checkAccess() error {
	config, err := c.client()
	if err == nil {
		err = rest.LoadTLSFiles(config)
	}

	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the kubelet's credentials belong to root, so run the agent as root", err)
	}

	return nil
}

// client returns how to reach the API server with the node's identity. Files are named and not read.
func (c *Config) client() (*rest.Config, error) {
	if c.usesFlags() {
		return &rest.Config{
			Host: c.Server,
			TLSClientConfig: rest.TLSClientConfig{
				CAData: c.CAData, CertFile: c.ClientCertificate, KeyFile: c.ClientCertificate,
			},
		}, nil
	}

	return kube.Load(c.Kubeconfig)
}

// bootIDPath is where the kernel says which boot this is, in a container as well.
func (c *Config) bootIDPath() string {
	return filepath.Join("/", c.Root, "proc/sys/kernel/random/boot_id")
}

// bootTime returns when the kernel started.
func (c *Config) bootTime() (time.Time, error) {
	if now := time.Now(); now.Before(earliest) {
		return time.Time{}, fmt.Errorf("waiting for the clock to be set: it says %s", now.UTC().Format(time.RFC3339))
	}

	if c.Root == "" {
		return reboundctrl.BootTime()
	}

	return host.BootTime(filepath.Join(c.Root, "proc/stat"))
}

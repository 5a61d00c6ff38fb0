// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/talos-rebound/rebound/internal/agent"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is that of a host on which nothing has started yet.
func config(t *testing.T) agent.Config {
	t.Helper()

	root, err := os.MkdirTemp("", "agent-") //nolint:usetesting // t.TempDir is too long for a unix socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(root)) })

	for path, content := range map[string]string{
		"proc/sys/kernel/random/boot_id": "8f0c0a8e-6f0e-4d5e-9a51-5a3b1e0c7d11\n",
		"proc/stat":                      "btime 1769000000\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(content), 0o600))
	}

	return agent.Config{
		Kubeconfig: filepath.Join(root, "etc/kubernetes/kubelet.conf"),
		Healthz:    "http://127.0.0.1:1/healthz",
		Metrics:    "127.0.0.1:0",
		Socket:     filepath.Join(root, "run/agent.sock"),
		Root:       root,
		Logger:     zaptest.NewLogger(t),
	}
}

// run runs an agent until the test ends, and returns what its socket shows.
func run(t *testing.T, config agent.Config) *talosapi.Local {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() { ended <- agent.Run(ctx, config) }()

	local, err := talosapi.OpenLocal(config.Socket, true)
	require.NoError(t, err)

	t.Cleanup(func() {
		require.NoError(t, local.Close())
		cancel()
		require.NoError(t, <-ended, "that it was ended is no error")
		assert.NoFileExists(t, config.Socket)
	})

	return local
}

func awaitStatus(t *testing.T, local *talosapi.Local, wanted func(specs.RecoveryStatus) bool) specs.RecoveryStatus {
	t.Helper()

	var status specs.RecoveryStatus

	require.Eventually(t, func() bool {
		res, err := safe.StateGetByID[*recovery.RecoveryStatus](t.Context(), local, recovery.RecoveryStatusID)
		if err != nil {
			return false
		}

		status = *res.TypedSpec()

		return wanted(status)
	}, 30*time.Second, 10*time.Millisecond)

	return status
}

func TestAnAgentSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		change func(*agent.Config)
		want   string
	}{
		"a name, which is in the credentials":  {func(*agent.Config) {}, "waiting for the node's name"},
		"a kubelet":                            {func(c *agent.Config) { c.NodeName = "worker-1" }, "waiting for the kubelet to run"},
		"a boot id":                            {func(c *agent.Config) { c.Root = filepath.Join(c.Root, "none") }, "failed to read the boot id"},
		"a kubelet, though it may use no file": {flags, "waiting for the node's name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			config := config(t)
			tc.change(&config)

			status := awaitStatus(t, run(t, config), func(status specs.RecoveryStatus) bool { return strings.Contains(status.Message, tc.want) })
			assert.Equal(t, specs.PhaseWaiting, status.Phase)
		})
	}
}

// flags replaces the kubeconfig.
func flags(c *agent.Config) {
	c.Kubeconfig, c.Server, c.CAData, c.ClientCertificate = "", "https://127.0.0.1:7445", []byte("pem"), "/var/lib/kubelet/pki/kubelet-client-current.pem"
}

func TestAWrongConfigurationEndsAtOnce(t *testing.T) {
	t.Parallel()

	for want, change := range map[string]func(*agent.Config){
		`--kubeconfig "kubelet.conf" is not an absolute path`: func(c *agent.Config) { c.Kubeconfig = "kubelet.conf" },
		`--node-name: "Worker_1" is no name of a Node`:        func(c *agent.Config) { c.NodeName = "Worker_1" },
		`--kubelet-healthz "localhost:10248" is not a URL`:    func(c *agent.Config) { c.Healthz = "localhost:10248" },
		`--server, --ca-data and --client-cert go together`:   func(c *agent.Config) { c.Server = "https://127.0.0.1:7445" },
		`--server "127.0.0.1:7445" is not a URL`: func(c *agent.Config) {
			flags(c)
			c.Server = "127.0.0.1:7445"
		},
		`--client-cert "current.pem" is not an absolute path`: func(c *agent.Config) {
			flags(c)
			c.ClientCertificate = "current.pem"
		},
		"--reboot-sentinel-command and --reboot-command go with --reboots": func(c *agent.Config) { c.Reboots.Command = "reboot" },
		"choose another address with --metrics-listen":                     func(c *agent.Config) { c.Metrics = "192.0.2.1:1" },
		"choose another one with --socket":                                 func(c *agent.Config) { c.Socket = c.Root },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			config := config(t)
			change(&config)
			require.ErrorContains(t, agent.Run(t.Context(), config), want)

			if config.Socket != config.Root {
				assert.NoFileExists(t, config.Socket, "nothing that was started goes on")
			}
		})
	}
}

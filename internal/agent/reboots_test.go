// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	node   = "worker-1"
	bootID = "8f0c0a8e-6f0e-4d5e-9a51-5a3b1e0c7d11"
)

// rebooting is a host whose reboot is a line in a file.
func rebooting(t *testing.T, api *ctest.NodeAPI) (host agent.Config, reboots string) {
	t.Helper()

	host = config(t)
	reboots = filepath.Join(host.Root, "reboots")

	host.Kubeconfig, host.NodeName = api.Kubeconfig(t), node
	host.Reboots = platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel, Command: "echo rebooting >> " + reboots}

	return host, reboots
}

// awaitReport waits until the Node says of this boot what it should.
func awaitReport(t *testing.T, api *ctest.NodeAPI, wanted func(v1alpha1.AgentReport) bool) v1alpha1.AgentReport {
	t.Helper()

	var report v1alpha1.AgentReport

	require.Eventually(t, func() bool {
		var err error

		report, err = v1alpha1.ParseAgentReport(api.Annotations()[v1alpha1.AgentAnnotation])

		return err == nil && report.BootID == bootID && wanted(report)
	}, 30*time.Second, 10*time.Millisecond)

	return report
}

func TestAnAgentTellsOfAWishAndCarriesOutAGrant(t *testing.T) {
	t.Parallel()

	api := ctest.NewNodeAPI(t, node)
	config, reboots := rebooting(t, api)
	sentinel := filepath.Join(config.Root, platform.RebootSentinel)

	run(t, config)
	api.Annotate(map[string]string{
		v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: "last", Wanted: true}.String(),
		v1alpha1.GrantAnnotation: v1alpha1.Grant{UID: "old", BootID: "last"}.String(),
	})
	awaitReport(t, api, func(report v1alpha1.AgentReport) bool { return !report.Wanted })

	require.NoError(t, os.MkdirAll(filepath.Dir(sentinel), 0o700))
	require.NoError(t, os.WriteFile(sentinel, nil, 0o600))

	report := awaitReport(t, api, func(report v1alpha1.AgentReport) bool { return report.Wanted })
	assert.Equal(t, "found /var/run/reboot-required", report.Reason)
	assert.WithinDuration(t, time.Now(), report.WantedSince, time.Minute)
	assert.NoFileExists(t, reboots, "the grant was for another boot")

	api.Annotate(map[string]string{v1alpha1.GrantAnnotation: v1alpha1.Grant{UID: "new", BootID: bootID}.String()})
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(reboots)

		return err == nil && string(content) == "rebooting\n"
	}, 30*time.Second, 10*time.Millisecond)

	require.NoError(t, os.Remove(sentinel))
	awaitReport(t, api, func(report v1alpha1.AgentReport) bool { return !report.Wanted })

	content, err := os.ReadFile(reboots)
	require.NoError(t, err)
	assert.Equal(t, "rebooting\n", string(content), "it is rebooted once")
}

func TestAnAgentSaysWhyItCannotReboot(t *testing.T) {
	t.Parallel()

	api := ctest.NewNodeAPI(t, node)
	api.Annotate(map[string]string{v1alpha1.GrantAnnotation: v1alpha1.Grant{UID: "new", BootID: bootID}.String()})

	config, _ := rebooting(t, api)
	config.Reboots.Command, config.Reboots.SentinelCommand = "echo Permission denied. >&2; exit 1", "! false"

	run(t, config)

	report := awaitReport(t, api, func(report v1alpha1.AgentReport) bool { return report.Wanted && report.Problem != "" })
	assert.Equal(t, `failed to run "echo Permission denied. >&2; exit 1": exit status 1: Permission denied.`, report.Problem)
	assert.Equal(t, `"! false" exited with 0`, report.Reason)
}

// TestAnAgentDoesNotRebootUnlessItIsToldTo holds for one that was started without --reboots.
func TestAnAgentDoesNotRebootUnlessItIsToldTo(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]func(*agent.Config){
		"it has no part in it": func(c *agent.Config) { c.Reboots = platform.Reboots{Sentinel: platform.RebootSentinel} },
		"it is a dry run":      func(c *agent.Config) { c.DryRun = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := ctest.NewNodeAPI(t, node)
			api.Annotate(map[string]string{v1alpha1.GrantAnnotation: v1alpha1.Grant{UID: "new", BootID: bootID}.String()})

			config, reboots := rebooting(t, api)
			change(&config)
			run(t, config)

			if config.Reboots.Enabled {
				require.Eventually(t, func() bool { return api.Watches() > 0 }, 30*time.Second, 10*time.Millisecond)
			}

			require.Never(t, func() bool {
				_, err := os.Stat(reboots)

				return err == nil || len(api.Patches()) > 0
			}, 300*time.Millisecond, 10*time.Millisecond)
		})
	}
}

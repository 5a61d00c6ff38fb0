// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package platform_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

func TestRebootsAreForHostsThatTheAgentMayReboot(t *testing.T) {
	t.Parallel()

	enabled := platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel}

	for _, name := range []platform.Name{"", platform.Kubeadm, platform.K3s, platform.RKE2, platform.Systemd} {
		assert.NoError(t, enabled.Check(name), name)
	}

	require.ErrorContains(t, enabled.Check(platform.Talos), "--reboots is not for talos")
	assert.NoError(t, platform.Reboots{Sentinel: platform.RebootSentinel}.Check(platform.Talos))
	assert.NoError(t, platform.Reboots{}.Check(platform.Talos))
}

func TestRebootsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()

	for want, reboots := range map[string]platform.Reboots{
		"go with --reboots":   {Sentinel: "/run/reboot"},
		"give that as well":   {Sentinel: platform.RebootSentinel, Command: "reboot"},
		"--reboot-sentinel, ": {SentinelCommand: "true"},
		`failed to use --reboot-sentinel: "reboot" is not an absolute path`:      {Enabled: true, Sentinel: "reboot"},
		`failed to use --reboot-sentinel: "/run/../x" has to be written as "/x"`: {Enabled: true, Sentinel: "/run/../x"},
		`failed to use --reboot-sentinel: "/" cannot be mounted`:                 {Enabled: true, Sentinel: "/reboot-required"},
		`--reboot-command "a\nb" is not a command of one line`:                   {Enabled: true, Command: "a\nb"},
		`--reboot-sentinel-command " " is not a command of one line`:             {Enabled: true, SentinelCommand: " "},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			require.ErrorContains(t, reboots.Check(platform.Systemd), want)
		})
	}

	assert.NoError(t, platform.Reboots{Enabled: true}.Check(platform.Systemd), "a person may ask for it")
}

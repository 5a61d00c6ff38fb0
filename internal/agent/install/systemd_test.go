// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package install_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/install"
)

const unit = "rebound-agent.service"

// unitHost is a host whose folder of units is one of the test: the paths are those of an image, the calls those of a host.
func unitHost(t *testing.T, systemctl *recorder) (install.Host, string) {
	t.Helper()

	folder := t.TempDir()

	return install.Host{Systemctl: systemctl.systemctl, UnitFolder: folder}, filepath.Join(folder, unit)
}

func TestUnit(t *testing.T) {
	t.Parallel()

	systemctl := &recorder{}
	host, path := unitHost(t, systemctl)
	on := systemd(t)

	change, err := host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)
	assert.Equal(t, install.Created, change)
	assert.Equal(t, []string{"daemon-reload", "enable --now " + unit}, systemctl.taken())

	change, err = host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)
	assert.Equal(t, install.Unchanged, change)
	assert.Equal(t, []string{"is-enabled --quiet " + unit, "is-active --quiet " + unit}, systemctl.taken())

	change, err = host.Install(t.Context(), on, render(t, on, "v0.2.0"))
	require.NoError(t, err)
	assert.Equal(t, install.Updated, change)
	assert.Equal(t, []string{"daemon-reload", "enable --now " + unit, "restart " + unit}, systemctl.taken(), "the old one would go on")

	change, err = host.Uninstall(t.Context(), on)
	require.NoError(t, err)
	assert.Equal(t, install.Removed, change)
	assert.Equal(t, []string{"disable --now " + unit, "daemon-reload"}, systemctl.taken())
	assert.NoFileExists(t, path)

	change, err = host.Uninstall(t.Context(), on)
	require.NoError(t, err)
	assert.Equal(t, install.Unchanged, change)
	assert.Empty(t, systemctl.taken())
}

// TestStoppedUnit was stopped by somebody, or never started.
func TestStoppedUnit(t *testing.T) {
	t.Parallel()

	systemctl := &recorder{}
	host, _ := unitHost(t, systemctl)
	on := systemd(t)

	_, err := host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)

	systemctl.failing = []string{"is-active"}
	systemctl.taken()

	change, err := host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)
	assert.Equal(t, install.Started, change)
	assert.Contains(t, systemctl.taken(), "enable --now "+unit)
}

// TestHalfInstall is a systemd that does not follow, at each step.
func TestHalfInstall(t *testing.T) {
	t.Parallel()

	for _, failing := range []string{"daemon-reload", "enable"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()

			systemctl := &recorder{failing: []string{failing}}
			host, path := unitHost(t, systemctl)
			on := systemd(t)

			_, err := host.Install(t.Context(), on, render(t, on, "v0.1.0"))
			require.ErrorIs(t, err, errSystemd)

			assert.Empty(t, list(t, filepath.Dir(path)), "at the next boot it would start after all")
			assert.Equal(t, []string{"disable --now " + unit, "daemon-reload"}, systemctl.calls[len(systemctl.calls)-2:])
		})
	}
}

// TestHalfUpdate leaves what was there before, and running.
func TestHalfUpdate(t *testing.T) {
	t.Parallel()

	systemctl := &recorder{}
	host, path := unitHost(t, systemctl)
	on := systemd(t)

	_, err := host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)

	systemctl.failing = []string{"enable"}
	systemctl.taken()

	_, err = host.Install(t.Context(), on, render(t, on, "v0.2.0"))
	require.ErrorIs(t, err, errSystemd)
	assert.Equal(t, []string{"daemon-reload", "enable --now " + unit, "daemon-reload", "restart " + unit}, systemctl.taken())

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, render(t, on, "v0.1.0"), content)
}

// TestInterruptedInstall is taken back although nobody waits for it any more.
func TestInterruptedInstall(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())

	var late []error

	host, path := unitHost(t, &recorder{})
	host.Systemctl = func(ctx context.Context, args ...string) error {
		switch args[0] {
		case "enable":
			cancel()
		case "disable":
			late = append(late, ctx.Err())
		}

		return ctx.Err()
	}

	_, err := host.Install(ctx, systemd(t), render(t, systemd(t), "v0.1.0"))
	require.ErrorIs(t, err, context.Canceled)
	assert.NoFileExists(t, path)
	assert.Equal(t, []error{nil}, late)
}

// TestUnitThatStays is one that systemd did not stop: without its file nobody could.
func TestUnitThatStays(t *testing.T) {
	t.Parallel()

	systemctl := &recorder{}
	host, path := unitHost(t, systemctl)
	on := systemd(t)

	_, err := host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)

	systemctl.failing = []string{"disable"}

	_, err = host.Uninstall(t.Context(), on)
	require.ErrorIs(t, err, errSystemd)
	assert.FileExists(t, path)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package install

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// Systemctl runs the host's systemctl.
func Systemctl(ctx context.Context, args ...string) error {
	output, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err == nil {
		return nil
	}

	said := strings.Join(strings.FieldsFunc(string(output), func(r rune) bool { return r == '\n' }), "; ")
	if said != "" {
		said = ": " + said
	}

	return fmt.Errorf("failed to run systemctl %s: %w%s", strings.Join(args, " "), err, said)
}

// start makes systemd run the unit that was just written, now and after every boot.
func (host Host) start(ctx context.Context, change Change) error {
	if host.Root != "" {
		return host.Systemctl(ctx, "--root="+host.Root, "enable", Unit)
	}

	if err := host.Systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}

	if err := host.Systemctl(ctx, "enable", "--now", Unit); err != nil {
		return err
	}

	// What runs is still what was installed before.
	if change == Updated {
		return host.Systemctl(ctx, "restart", Unit)
	}

	return nil
}

// stop makes systemd stop the unit, and forget it at the next boot.
func (host Host) stop(ctx context.Context) error {
	if host.Root != "" {
		return host.Systemctl(ctx, "--root="+host.Root, "disable", Unit)
	}

	return host.Systemctl(ctx, "disable", "--now", Unit)
}

// ensureRunning is for a unit that is there as it should be.
func (host Host) ensureRunning(ctx context.Context, on platform.Platform) (Change, error) {
	if on.Name != platform.Systemd || host.running(ctx) {
		return Unchanged, nil
	}

	if host.DryRun {
		return Started, nil
	}

	return Started, host.start(ctx, Unchanged)
}

func (host Host) running(ctx context.Context) bool {
	if host.Root != "" {
		return host.Systemctl(ctx, "--root="+host.Root, "is-enabled", "--quiet", Unit) == nil
	}

	return host.Systemctl(ctx, "is-enabled", "--quiet", Unit) == nil && host.Systemctl(ctx, "is-active", "--quiet", Unit) == nil
}

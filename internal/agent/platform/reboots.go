// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package platform

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RebootSentinel is the file that Debian and Ubuntu make when an update wants a reboot (/etc/kernel/postinst.d of
// unattended-upgrades, and update-notifier-common), and that of kured.
const RebootSentinel = "/var/run/reboot-required"

// Reboots is the agent's part in coordinated reboots. The zero value is that it has none.
type Reboots struct {
	// Enabled is whether it has any.
	Enabled bool
	// Sentinel is a file on the host; while it exists a reboot is wanted. Empty for none.
	Sentinel string
	// SentinelCommand is a command of a shell; while it exits with 0 a reboot is wanted. Empty for none.
	SentinelCommand string
	// Command is a command of a shell that reboots the host; empty asks logind.
	Command string
}

// Check refuses what cannot work on a platform; an empty name is a host of which nothing is known.
func (r Reboots) Check(on Name) error {
	switch {
	case !r.Enabled && (r.SentinelCommand != "" || r.Command != "" || r.Sentinel != "" && r.Sentinel != RebootSentinel):
		return errors.New("--reboot-sentinel, --reboot-sentinel-command and --reboot-command go with --reboots: give that as well")
	case !r.Enabled:
		return nil
	case on == Talos:
		return errors.New("--reboots is not for talos, where rebound-coordinator calls the machine API and needs no agent: leave it out")
	}

	if err := r.checkCommands(); err != nil {
		return err
	}

	return r.checkSentinel()
}

func (r Reboots) checkCommands() error {
	for _, flag := range []struct{ name, text string }{
		{"--reboot-sentinel-command", r.SentinelCommand}, {"--reboot-command", r.Command},
	} {
		if !utf8.ValidString(flag.text) || strings.ContainsFunc(flag.text, unicode.IsControl) || flag.text != "" && strings.TrimSpace(flag.text) == "" {
			return fmt.Errorf("%s %q is not a command of one line", flag.name, flag.text)
		}
	}

	return nil
}

func (r Reboots) checkSentinel() error {
	if r.Sentinel == "" {
		return nil
	}

	for _, name := range []string{r.Sentinel, path.Dir(r.Sentinel)} {
		if err := CheckPath(name); err != nil {
			return fmt.Errorf("failed to use --reboot-sentinel: %w", err)
		}
	}

	return nil
}

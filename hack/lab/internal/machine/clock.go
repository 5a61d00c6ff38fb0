// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// clock is the wall clock of a machine: that of the host, off by what
// Root.SetClock has said last. As on any machine the time of boot is told by it
// too: it is the present time less the time since the machine was turned on,
// and moves when the clock is set.
type clock struct {
	root Root
	// up is when the machine was turned on, on the clock of the host.
	up time.Time
}

// now returns the machine's present time.
func (clock clock) now() time.Time {
	off, err := clock.root.clockOffset()
	if err != nil {
		// Nobody but the lab writes the file, and it does so in one step.
		panic(err)
	}

	return time.Now().Add(off)
}

// bootTime returns when the machine was turned on, on its present clock.
func (clock clock) bootTime() (time.Time, error) {
	return clock.now().Add(-time.Since(clock.up)), nil
}

// SetClock makes the machine's clock be ahead of that of the host, or behind it
// if off is negative, from now on. Like a real-time clock it keeps that over a
// reboot. The kubelet reads the clock of the host whatever is set.
func (root Root) SetClock(off time.Duration) error {
	next := root.clock() + ".next"

	if err := os.WriteFile(next, []byte(off.String()), 0o600); err != nil {
		return fmt.Errorf("failed to write the clock: %w", err)
	}

	if err := os.Rename(next, root.clock()); err != nil {
		return fmt.Errorf("failed to set the clock: %w", err)
	}

	return nil
}

// clockOffset returns by how much the machine's clock is ahead of that of the
// host; zero if it was never set.
func (root Root) clockOffset() (time.Duration, error) {
	content, err := os.ReadFile(root.clock())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}

	if err != nil {
		return 0, fmt.Errorf("failed to read the clock: %w", err)
	}

	off, err := time.ParseDuration(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("failed to read the clock: %w", err)
	}

	return off, nil
}

// clock is the file with what the clock is off by.
func (root Root) clock() string { return root.path("dev", "rtc0") }

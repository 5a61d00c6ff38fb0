// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// readBoot identifies the present boot. What cannot be read is told in Error and is to be read again.
func (c *config) readBoot() recovery.Boot {
	id, err := os.ReadFile(c.bootIDPath)
	if err != nil {
		return recovery.Boot{Error: fmt.Sprintf("failed to read the boot id: %s", err)}
	}

	at, err := c.bootTime()
	if err != nil {
		return recovery.Boot{Error: fmt.Sprintf("failed to tell the time of boot: %s", err)}
	}

	return recovery.Boot{ID: strings.TrimSpace(string(id)), Time: at}
}

// BootTime is the present time less CLOCK_BOOTTIME, the time since the kernel started, sleep included.
func BootTime() (time.Time, error) {
	var since unix.Timespec

	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return time.Time{}, fmt.Errorf("failed to read CLOCK_BOOTTIME: %w", err)
	}

	return time.Now().Add(-time.Duration(since.Nano())), nil
}

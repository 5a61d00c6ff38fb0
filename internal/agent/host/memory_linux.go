// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseMemory gives back what this process does not need while nothing happens: the free part of its heap, and the pages of
// its program, most of which nothing but its start has touched. The kernel maps those again when they are needed.
func ReleaseMemory() error {
	debug.FreeOSMemory()

	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("failed to find this program: %w", err)
	}

	content, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("failed to read the maps of this process: %w", err)
	}

	var errs []error

	for _, m := range mappingsOf(program, content) {
		// A page that was written to, as a linker does in some programs, would be lost.
		if m.writable || m.changed {
			continue
		}

		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			errs = append(errs, fmt.Errorf("failed to release the pages of this program: %w", errno))
		}
	}

	return errors.Join(errs...)
}

// mapping is a part of a file in memory.
type mapping struct {
	from, to uintptr
	// changed is whether a page of it is not that of the file any more.
	writable, changed bool
}

// mappingsOf finds those of one file in what proc_pid_smaps(5) describes.
func mappingsOf(path string, smaps []byte) []mapping {
	var (
		found []mapping
		mine  bool
	)

	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		var m mapping

		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}

		switch _, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to); {
		case err == nil:
			mine = len(fields) == 6 && fields[5] == path
			m.writable = strings.Contains(fields[1], "w")

			if mine {
				found = append(found, m)
			}
		case mine && fields[0] == "Anonymous:" && fields[1] != "0":
			found[len(found)-1].changed = true
		}
	}

	return found
}

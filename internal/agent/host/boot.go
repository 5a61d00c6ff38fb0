// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// BootTime reads the time of boot from a file in the form of /proc/stat, whole seconds (proc_stat(5)).
func BootTime(path string) (time.Time, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("failed to read the time of boot: %w", err)
	}

	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if value, ok := bytes.CutPrefix(lines.Bytes(), []byte("btime ")); ok {
			seconds, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				return time.Time{}, fmt.Errorf("failed to read the time of boot from %q: %w", path, err)
			}

			return time.Unix(seconds, 0), nil
		}
	}

	return time.Time{}, fmt.Errorf("failed to read the time of boot: %q has no line that begins with btime", path)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// raised is the line that the DaemonSet controller logs for each back-off that it
// raises (Kubernetes 1.36, pkg/controller/daemon, at -v=2), after klog's header: the
// level, month and day, and the time of day.
var raised = regexp.MustCompile(`^I(\d{4} [\d:.]+) .*"Found failed daemon pod on node, will try to kill it" pod="[^"/]*/([^"]*)-[^"-]*" node="([^"]*)"`)

// headerTime is the form of a time in klog's header. It has no year.
const headerTime = "0102 15:04:05.000000"

// raise says that the DaemonSet controller has raised a back-off.
type raise struct {
	at   place
	when time.Time
}

// raises follows the log of kube-controller-manager. What the controller deletes
// would not tell: it raises the back-offs of all pods that are due, and of those it
// deletes 250 at a time.
type raises struct {
	path string
	// offset is where the next line begins that was not read yet.
	offset int64
	// found counts what was ever found.
	found int
}

// next returns what has come to the log since it was called last.
func (r *raises) next() ([]raise, error) {
	file, err := os.Open(r.path)
	if err != nil {
		return nil, fmt.Errorf("failed to open log of kube-controller-manager: %w", err)
	}

	defer file.Close() //nolint:errcheck // only read from

	if _, err = file.Seek(r.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("failed to go on in log of kube-controller-manager: %w", err)
	}

	var found []raise

	for reader := bufio.NewReader(file); ; {
		line, err := reader.ReadString('\n')
		if errors.Is(err, io.EOF) {
			// A line without its end is being written.
			return found, nil
		}

		if err != nil {
			return nil, fmt.Errorf("failed to read log of kube-controller-manager: %w", err)
		}

		r.offset += int64(len(line))

		one, ok, err := parseRaise(strings.TrimSuffix(line, "\n"), time.Now())
		if err != nil {
			return nil, err
		}

		if ok {
			r.found++
			found = append(found, one)
		}
	}
}

// parseRaise returns false for any other line. It is of the year of now, or of the
// one before.
func parseRaise(line string, now time.Time) (raise, bool, error) {
	match := raised.FindStringSubmatch(line)
	if match == nil {
		return raise{}, false, nil
	}

	when, err := time.ParseInLocation(headerTime, match[1], time.Local) //nolint:gosmopolitan // which klog writes in
	if err != nil {
		return raise{}, false, fmt.Errorf("failed to read time of log line %q: %w", line, err)
	}

	when = when.AddDate(now.Year(), 0, 0)
	if when.After(now.AddDate(0, 1, 0)) {
		when = when.AddDate(-1, 0, 0)
	}

	return raise{at: place{node: match[3], daemonSet: match[2]}, when: when}, true, nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"io"
	"time"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/check"
)

// NewLiveReporter makes a reporter for a terminal of that size.
func NewLiveReporter(w io.Writer, columns, rows int) *reporter {
	return newLiveReporter(w, func() (int, int) { return columns, rows })
}

// NewReporter makes a reporter.
var NewReporter = newReporter

// WriteQueue judges a queue and writes it as text.
func WriteQueue(out io.Writer, reboots []v1alpha1.NodeReboot, budget *v1alpha1.RebootBudget, now time.Time, names ...string) error {
	queue := judgeQueue(reboots, budget, now)
	if len(names) > 0 {
		queue = queue.only(names)
	}

	return queue.write(out, FormatText, now)
}

// What is decided about one NodeReboot.
var Cancel = cancel

// Ask asks for a reboot with nothing but a priority.
func Ask(current *v1alpha1.NodeReboot, priority int32, now time.Time) (*v1alpha1.NodeReboot, string, error) {
	return rebootRequest{priority: &priority, now: now}.ask("worker-a", current)
}

// RebootProgress is how far the reboots are that are waited for.
type RebootProgress struct{ *rebootProgress }

// NewRebootProgress waits for the reboots.
func NewRebootProgress(asked ...v1alpha1.NodeReboot) RebootProgress {
	return RebootProgress{newRebootProgress(asked)}
}

// Take notes what the NodeReboots are now.
func (p RebootProgress) Take(reboots ...v1alpha1.NodeReboot) []string { return p.take(reboots) }

// Over tells whether there is nothing left to wait for.
func (p RebootProgress) Over() bool { return p.over() }

// Waiting names the nodes that are waited for.
func (p RebootProgress) Waiting() string { return p.waiting() }

// IsNews notes why the NodeReboots cannot be listed.
func (p RebootProgress) IsNews(trouble error) bool { return p.isNews(trouble) }

// Ended is the error of a wait that ended before.
func (p RebootProgress) Ended(err error) error { return p.ended(err) }

// Write prints a verdict.
func Write(out io.Writer, format Format, verdict check.Verdict) error {
	return write(out, format, verdict)
}

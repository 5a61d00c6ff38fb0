// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import "time"

// Names for the tests, which are in a package of their own.
type (
	Result   = result
	Progress = progress
)

// The verbs that the tests go through.
var (
	NewReport   = newReport
	NewProgress = newProgress
	WriteTable  = writeTable
)

// NewResult makes a result.
func NewResult(reboot int, node string, rebound bool, began time.Time, recovery time.Duration) Result {
	return result{reboot: reboot, node: node, rebound: rebound, began: began, recovery: recovery}
}

// Check says what rebound has failed to do.
func (report *Report) Check() error { return report.check() }

// Plot draws the curves.
func (report *Report) Plot() ([]byte, error) { return report.plot() }

// Page returns the page.
func (report *Report) Page(curve []byte) ([]byte, error) { return report.page(curve) }

// JSON returns the report as it is written.
func (report *Report) JSON() ([]byte, error) { return report.json() }

// Done tells that a node has come through a reboot.
func (p *progress) Done(name, format string, args ...any) { p.done(name, format, args...) }

// Node tells what a node is about.
func (p *progress) Node(name, text string) { p.node(name, text) }

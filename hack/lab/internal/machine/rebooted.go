// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

// Rebooted is what [Main] returns when the machine was asked to reboot: by
// logind, by its Talos API, or by [SignalReboot]. Whoever has started it is to
// start it again.
type Rebooted struct{}

// ExitRebooted is the exit code of a machine that wants to be started again. It
// is that of no panic and no failed component.
const ExitRebooted = 75

// Error implements error.
func (Rebooted) Error() string { return "the machine was asked to reboot" }

// ExitCode is the one of the process.
func (Rebooted) ExitCode() int { return ExitRebooted }

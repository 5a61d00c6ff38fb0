// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"io"
	"os"
	"syscall"
)

// dieWithParent ends this process, at once and without any clean-up, when its
// standard input ends. The parent holds the other end of that pipe open for as
// long as it lives and wants the component.
func dieWithParent() {
	go func() {
		awaitParentsEnd()
		syscall.Kill(syscall.Getpid(), syscall.SIGKILL) //nolint:errcheck // a process may always signal itself
	}()
}

// awaitParentsEnd returns when the standard input ends.
func awaitParentsEnd() {
	io.Copy(io.Discard, os.Stdin) //nolint:errcheck // an unreadable lifeline counts as cut
}

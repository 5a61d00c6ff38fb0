// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"fmt"
	"os"
	"syscall"
)

// execNamed gives this process's namespace a host name, and turns the process
// into a program: its arguments are the name, the path of the program, and the
// arguments of that. It has to be in a namespace of its own, or the machine would
// get the name.
func execNamed(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("expected a host name and a program, got %q", args)
	}

	if err := syscall.Sethostname([]byte(args[0])); err != nil {
		return fmt.Errorf("failed to set host name %q: %w", args[0], err)
	}

	if err := syscall.Exec(args[1], args[1:], os.Environ()); err != nil {
		return fmt.Errorf("failed to execute %q: %w", args[1], err)
	}

	return nil
}

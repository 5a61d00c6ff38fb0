// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// StartProgram starts a program that is not in the running binary, in the folder,
// with the arguments and the environment, which may be nil for that of the lab.
// Its output is appended to the file at log.
//
// Such a program does not know the lifeline of a component, so it is the kernel
// that ends it, with SIGKILL, when the lab is gone.
func StartProgram(path, folder, log string, env []string, args ...string) (*Process, error) {
	return FollowProgram(nil, path, folder, log, env, args...)
}

// FollowProgram does the same, and gives say every line that the program writes,
// as it comes. The program waits for say if that is slow.
func FollowProgram(say func(line string), path, folder, log string, env []string, args ...string) (*Process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open log of %q: %w", path, err)
	}

	cmd := exec.Command(path, args...) //nolint:noctx // the caller of Stop or Kill ends it
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = folder, output, output, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	follow := func() {}

	if say != nil {
		cmd.Stdout = nil

		lines, err := cmd.StdoutPipe()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("failed to read from %q: %w", path, err), output.Close())
		}

		cmd.Stderr = cmd.Stdout
		follow = func() {
			for scanner := bufio.NewScanner(io.TeeReader(lines, output)); scanner.Scan(); {
				say(scanner.Text())
			}
		}
	}

	process := &Process{log: log, cmd: cmd, lifeline: output, ended: make(chan struct{})}
	started := make(chan error, 1)

	go func() {
		// The kernel takes the end of the thread that starts the child for the death of
		// its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer output.Close() //nolint:errcheck // the child has written to it, not this process

		err := cmd.Start()
		started <- err

		if err != nil {
			return
		}

		follow()

		process.err = cmd.Wait()
		close(process.ended)
	}()

	if err = <-started; err != nil {
		return nil, fmt.Errorf("failed to start %q: %w", path, err)
	}

	return process, nil
}

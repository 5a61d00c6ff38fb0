// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package process runs the lab's components as child processes that cannot
// outlive it.
//
// Every child has its own process group, so that Ctrl-C in a terminal reaches
// the lab alone, which then stops its children in order. Every child also
// holds the read end of a pipe as its standard input, and ends itself when the
// other end closes; see package component. That covers a lab that is killed.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a running child. Its zero value is not usable.
type Process struct {
	name     string
	log      string
	cmd      *exec.Cmd
	lifeline io.Closer
	ended    chan struct{}
	err      error
}

// Start runs cmd with its output going to the file at log, which is appended to.
func Start(name string, cmd *exec.Cmd, log string) (*Process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open log of %q: %w", name, err)
	}

	defer output.Close() //nolint:errcheck // the child has its own descriptor

	cmd.Stdout = output
	cmd.Stderr = output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to create lifeline of %q: %w", name, err)
	}

	if err = cmd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start %q: %w", name, err)
	}

	process := &Process{
		name:     name,
		log:      log,
		cmd:      cmd,
		lifeline: lifeline,
		ended:    make(chan struct{}),
	}

	go func() {
		process.err = cmd.Wait()
		close(process.ended)
	}()

	return process, nil
}

// PID returns the process id.
func (process *Process) PID() int { return process.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (process *Process) Ended() <-chan struct{} { return process.ended }

// Running says whether the process is still there.
func (process *Process) Running() bool {
	select {
	case <-process.ended:
		return false
	default:
		return true
	}
}

// Failed says whether the process ended with anything but success. It must be
// called only after Ended is closed.
func (process *Process) Failed() bool { return process.err != nil }

// Err returns what the process ended with, together with the end of its log.
// It must be called only after Ended is closed.
func (process *Process) Err() error {
	outcome := "exit status 0"
	if process.err != nil {
		outcome = process.err.Error()
	}

	return fmt.Errorf("%s ended: %s; the last lines of %s:\n%s",
		process.name, outcome, filepath.Base(process.log), Tail(process.log, 12))
}

// Interrupt asks the process to end.
func (process *Process) Interrupt() error {
	return ignoreEnded(process.cmd.Process.Signal(syscall.SIGTERM))
}

// Kill ends the process at once and waits until it is gone.
func (process *Process) Kill() error {
	err := ignoreEnded(process.cmd.Process.Kill())

	<-process.ended

	return err
}

// Stop asks the process to end, kills it after grace, and waits until it is gone.
func (process *Process) Stop(grace time.Duration) error {
	err := process.Interrupt()

	timer := time.NewTimer(grace)
	defer timer.Stop()

	select {
	case <-process.ended:
		return err
	case <-timer.C:
		return errors.Join(err, process.Kill())
	}
}

// Release cuts the lifeline and waits until the process has ended itself.
func (process *Process) Release() error {
	err := process.lifeline.Close()

	<-process.ended

	if errors.Is(err, os.ErrClosed) {
		return nil
	}

	return err
}

func ignoreEnded(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}

	return err
}

// Tail returns the last lines of the file at path, or why it cannot be read.
func Tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}

	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")

	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a running component. Its zero value is not usable.
type Process struct {
	log      string
	cmd      *exec.Cmd
	lifeline io.Closer
	ended    chan struct{}
	err      error
}

// Start starts a component in the folder, with the arguments that it has when it
// is a program by itself. Its output is appended to the file at log.
func Start(name Name, folder, log string, args ...string) (*Process, error) {
	if name.ofKubernetes() {
		return startKubernetes(name, folder, log, args...)
	}

	return startSelf(name, folder, log, args...)
}

// startSelf starts a component that is in the running binary.
//
// The process has a group of its own, so that Ctrl-C in a terminal reaches the
// lab alone, which then stops its components in order. Its standard input is the
// lifeline: a pipe whose other end closes when the lab is gone, however it ended.
func startSelf(name Name, folder, log string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("failed to find the running binary: %w", err)
	}

	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open log of %q: %w", name, err)
	}

	defer output.Close() //nolint:errcheck // the child has its own descriptor

	cmd := exec.Command(self, args...)
	cmd.Args[0] = string(name)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, output, output
	cmd.Env = append(os.Environ(), Environ(name))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to create lifeline of %q: %w", name, err)
	}

	if err = cmd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start %q: %w", name, err)
	}

	process := &Process{log: log, cmd: cmd, lifeline: lifeline, ended: make(chan struct{})}

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

// ExitCode returns the exit code, or -1 if a signal has ended the process. It
// must be called only after Ended is closed.
func (process *Process) ExitCode() int { return process.cmd.ProcessState.ExitCode() }

// Err returns what the process ended with, together with the end of its log.
// It must be called only after Ended is closed.
func (process *Process) Err() error {
	outcome := "exit status 0"
	if process.err != nil {
		outcome = process.err.Error()
	}

	log := filepath.Base(process.log)

	return fmt.Errorf("%s ended: %s; the last lines of %s:\n%s", strings.TrimSuffix(log, ".log"), outcome, log, Tail(process.log, 12))
}

// Interrupt asks the process to end.
func (process *Process) Interrupt() error {
	return ignoreEnded(process.cmd.Process.Signal(syscall.SIGTERM))
}

// Signal sends a signal to the process.
func (process *Process) Signal(signal os.Signal) error { return process.cmd.Process.Signal(signal) }

// Kill ends the process at once and waits until it is gone.
func (process *Process) Kill() error {
	err := ignoreEnded(process.cmd.Process.Kill())

	<-process.ended

	return err
}

// Stop asks the process to end, kills it after grace, and waits until it is gone.
func (process *Process) Stop(grace time.Duration) error {
	err := process.Interrupt()

	select {
	case <-process.ended:
		return err
	case <-time.After(grace):
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

const (
	cleanInterval = 100 * time.Millisecond
	cleanAttempts = 50
)

// clean waits for the end of the lab and removes its folder.
//
// A lab that ends well has removed the folder itself. A lab that was killed
// has not, nor has a test binary that was interrupted: such a binary runs none
// of its cleanups. The other components end at the same moment as the lab, but
// not before their last write, so removing goes on until the folder stays away.
func clean(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one folder to clean, got %q", args)
	}

	awaitParentsEnd()

	folder := args[0]

	var err error

	for range cleanAttempts {
		if _, statErr := os.Stat(folder); errors.Is(statErr, fs.ErrNotExist) {
			return nil
		}

		err = os.RemoveAll(folder)

		time.Sleep(cleanInterval)
	}

	return fmt.Errorf("failed to remove %q: %w", folder, err)
}

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

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// shell runs the commands: words alone could not say "not", nor use a pipe.
	shell = "/bin/sh"
	// killedTime is how long the output of a command may be held open once the command has ended.
	killedTime = time.Second
	// maxOutput is how many bytes of its output are kept, from the end.
	maxOutput = 4 << 10

	// What a shell ends with if it cannot run a command, or cannot find it (POSIX, "Exit Status for Commands").
	exitCannotRun = 126
	exitNotFound  = 127
)

// Run runs a command of a shell and waits for it, with all that it has started in its own process group, until ctx is done.
// It may be repeated if the command may. An error has the last line of its output.
func Run(ctx context.Context, command string) error {
	var output tail

	cmd := exec.CommandContext(ctx, shell, "-c", command)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killedTime

	err := cmd.Run()

	switch line := output.lastLine(); {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it has left something in the background
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("failed to run %q: %w", command, context.Cause(ctx))
	case line != "":
		return fmt.Errorf("failed to run %q: %w: %s", command, err, line)
	default:
		return fmt.Errorf("failed to run %q: %w", command, err)
	}
}

// tail keeps the end of what is written to it. It is not safe for concurrent use: os/exec writes both outputs from one
// goroutine if they are the same.
type tail struct{ content []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.content = append(t.content, p...)
	t.content = t.content[max(0, len(t.content)-maxOutput):]

	return len(p), nil
}

// lastLine is the last line with anything in it; empty if there is none.
func (t *tail) lastLine() string {
	text := strings.TrimSpace(string(t.content))

	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// Command wants a reboot while a command exits with 0. With any other code the host does not want it. A command that cannot
// be run, that was killed or that takes too long says nothing.
type Command struct {
	// Command is one of a shell.
	Command string
	// Period is the time between two runs, Timeout what one may take.
	Period, Timeout time.Duration
	Logger          *zap.Logger
}

// Watch implements reboot.Sentinel.
func (c *Command) Watch(ctx context.Context, tell func(wanted bool, reason string)) {
	ticker := time.NewTicker(c.Period)
	defer ticker.Stop()

	problem := ""

	for {
		wanted, err := c.ask(ctx)
		if ctx.Err() != nil {
			return
		}

		switch {
		case err == nil:
			problem = ""

			tell(wanted, c.reason(wanted))
		case err.Error() != problem:
			problem = err.Error()
			c.Logger.Warn("cannot tell by the sentinel command whether a reboot is wanted", zap.Error(err))
		}

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *Command) reason(wanted bool) string {
	if !wanted {
		return ""
	}

	return fmt.Sprintf("%q exited with 0", c.Command)
}

// ask runs the command once. An error means that there is no answer.
func (c *Command) ask(ctx context.Context) (wanted bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("it has not ended within %s", c.Timeout))
	defer cancel()

	err = Run(ctx, c.Command)
	if err == nil {
		return true, nil
	}

	var exit *exec.ExitError

	// A code of -1 is that of a command that was killed.
	if ctx.Err() == nil && errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() != exitCannotRun && exit.ExitCode() != exitNotFound {
		return false, nil
	}

	return false, err
}

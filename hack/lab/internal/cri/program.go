// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Program is what an image has in it: containers of such an image run for real.
type Program struct {
	// Binary is the path of its entrypoint.
	Binary string `json:"binary"`
	// Args and Env come before the container's.
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	// Root is the node's root folder. There is no mount namespace: the paths in the container's arguments and environment
	// that lie in one of its mounts become those of the node's files. The program is told of it unless it is empty.
	Root string `json:"root"`
	// OwnHostname puts the program where it may give itself another host name, which takes no root.
	OwnHostname bool `json:"ownHostname,omitempty"`
}

// command is how the program is started with the container's arguments.
func (program Program) command(args []string) *exec.Cmd {
	args = append(slices.Clone(program.Args), args...)

	if program.Root != "" {
		args = append(args, "--host-root="+program.Root)
	}

	cmd := exec.Command(program.Binary, args...) //nolint:noctx // StopContainer ends it
	cmd.Env = slices.Clone(program.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	if program.OwnHostname {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWUTS
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}

	return cmd
}

// program is one container that is a process.
type program struct {
	config  *runtimeapi.ContainerConfig
	log     string
	process *os.Process
	ended   chan struct{}
}

// start runs the program, which cannot outlive the machine, and calls exited with its exit code.
func (p *program) start(image Program, exited func(code int32)) error {
	cmd := image.command(p.paths(image.Root, p.config.Args))

	for _, variable := range p.config.Envs {
		cmd.Env = append(cmd.Env, variable.Key+"="+p.path(image.Root, string(variable.Value)))
	}

	if err := os.MkdirAll(filepath.Dir(p.log), 0o700); err != nil {
		return fmt.Errorf("failed to make folder for logs: %w", err)
	}

	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("failed to open log: %w", err)
	}

	cmd.Stdout, cmd.Stderr = output, output

	p.ended = make(chan struct{})
	started := make(chan error, 1)

	go func() {
		// The kernel takes the end of the thread that starts the child for the death of its parent.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		defer output.Close() //nolint:errcheck // the child has written to it, not this process

		err := cmd.Start()
		p.process = cmd.Process
		started <- err

		if err != nil {
			return
		}

		cmd.Wait() //nolint:errcheck // the state of the process tells all
		close(p.ended)
		exited(exitCode(cmd.ProcessState))
	}()

	return <-started
}

// stop asks the program to end, and makes it after a time.
func (p *program) stop(ctx context.Context, grace time.Duration) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()

	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("failed to stop the program: %w", err)
		}

		select {
		case <-p.ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
	}

	<-p.ended

	return nil
}

// exitCode is that of a shell: a process that a signal has ended has none of its own.
func exitCode(state *os.ProcessState) int32 {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int32(status.Signal())
	}

	return int32(state.ExitCode())
}

func (p *program) paths(root string, texts []string) []string {
	mapped := make([]string, len(texts))
	for i, text := range texts {
		mapped[i] = p.path(root, text)
	}

	return mapped
}

// path maps a text that is a path in the container, or a flag or the address of a bus with one.
func (p *program) path(root, text string) string {
	flag, path := "", text

	if i := strings.Index(text, "=/"); i >= 0 && (strings.HasPrefix(text, "-") || strings.HasPrefix(text, "unix:path=")) {
		flag, path = text[:i+1], text[i+1:]
	}

	mounts := slices.Clone(p.config.Mounts)
	slices.SortFunc(mounts, func(a, b *runtimeapi.Mount) int { return len(b.ContainerPath) - len(a.ContainerPath) })

	for _, mount := range mounts {
		if rest, ok := strings.CutPrefix(path, mount.ContainerPath); ok && (rest == "" || rest[0] == '/') {
			return flag + filepath.Join(root, mount.HostPath, rest)
		}
	}

	return text
}

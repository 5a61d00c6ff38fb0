// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package dist

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/release/internal/revision"
)

const (
	// patience is how long a command may take to end after it was told to.
	patience = 10 * time.Second
	// atOnce keeps several links from filling the memory of a small machine.
	atOnce = 2
)

// neutral is what decides about the bytes of a binary, besides the source and the version of Go.
func neutral(target Target) []string {
	return []string{
		"GOOS=" + target.OS, "GOARCH=" + target.Arch, "GOAMD64=v1", "GOARM64=v8.0",
		"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off",
	}
}

// buildAll builds a static binary of each program for each target.
func buildAll(ctx context.Context, options Options, folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)

	for _, program := range programs {
		for _, target := range options.Targets {
			group.Go(func() error {
				cmd := command(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
					"-ldflags", program.linkerFlags(options.Revision), "-o", filepath.Join(folder, program.binary(target)), program.main)
				cmd.Dir = filepath.Join(options.Source, filepath.FromSlash(program.folder))
				cmd.Env = append(os.Environ(), neutral(target)...)

				if _, err := output(ctx, cmd); err != nil {
					return fmt.Errorf("failed to build %s: %w", program.binary(target), err)
				}

				return nil
			})
		}
	}

	return group.Wait()
}

func (p program) linkerFlags(revision revision.Revision) string {
	return fmt.Sprintf("-s -w -X %[1]s.version=%[2]s -X %[1]s.commit=%[3]s", p.stamped, revision.Version, revision.Commit)
}

// checkStamp asks the binary of this machine for what the linker should have told it.
func (p program) checkStamp(ctx context.Context, revision revision.Revision, folder string) error {
	text, err := output(ctx, command(ctx, filepath.Join(folder, p.binary(host())), "version"))
	if err != nil {
		return fmt.Errorf("failed to check %s: %w", p.binary(host()), err)
	}

	for _, line := range []string{p.name + " " + revision.Version, "commit " + revision.Commit} {
		if !strings.Contains(text, line) {
			return fmt.Errorf("%s version does not say %q: have the variables in %s moved?", p.binary(host()), line, p.stamped)
		}
	}

	return nil
}

// command is a command that is told to end when ctx does, and killed if it does not.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience

	return cmd
}

// output is what a command prints. The error has what it complained about.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var complaint strings.Builder

	cmd.Stderr = &complaint

	text, err := cmd.Output()

	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", fmt.Errorf("%w\n%s", err, strings.TrimSpace(complaint.String()))
	default:
		return string(text), nil
	}
}

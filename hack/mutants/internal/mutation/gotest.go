// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// buildTime is how long a mutant may take to be built, before its tests have their own time. The first one builds all
	// that the package needs.
	buildTime = 15 * time.Minute
	// killTime is how long the output is waited for once the processes were killed.
	killTime = 5 * time.Second
)

// outcome is what a run of "go test" has told.
type outcome struct {
	// passed and failed are the tests that did so, by the names that they give themselves.
	passed, failed map[string]bool
	// broken is whether it could not be built, late whether its time was over.
	broken, late bool
	// output is what was printed.
	output string
}

// event is a line of "go test -json", as far as it matters here (go doc test2json, and go help buildjson).
type event struct {
	Action, Test, Output string
}

// runTests runs tests of one package of the copy at top. That they fail is no error. When ctx ends, nothing of it goes on.
func runTests(ctx context.Context, top, folder, pattern string, limit time.Duration) (outcome, error) {
	module, err := moduleOf(top, folder)
	if err != nil {
		return outcome{}, err
	}

	dir, err := filepath.Rel(module, filepath.FromSlash(folder))
	if err != nil {
		return outcome{}, err
	}

	limited, cancel := context.WithTimeoutCause(ctx, buildTime+limit, fmt.Errorf("no answer of go test within %s", buildTime+limit))
	defer cancel()

	// What vet says is no test, and a result of before is none of the mutant.
	cmd := exec.CommandContext(limited, "go", "test", "-json", "-vet=off", "-count=1", "-timeout", limit.String(),
		"-run", pattern, "./"+filepath.ToSlash(dir))
	cmd.Dir = filepath.Join(top, module)
	// Whoever is killed leaves temporary files, which are to go with the copy.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false", "TMPDIR="+temporary(top))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The test is a child of go, which would leave it behind.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killTime

	var problem bytes.Buffer

	cmd.Stderr = &problem

	printed, err := cmd.Output()

	switch {
	case limited.Err() != nil:
		return outcome{}, context.Cause(limited)
	case err != nil && len(printed) == 0:
		return outcome{}, fmt.Errorf("failed to run the tests of %s: %w: %s", folder, err, bytes.TrimSpace(problem.Bytes()))
	}

	return parse(printed)
}

// parse reads the output of "go test -json".
func parse(printed []byte) (outcome, error) {
	o := outcome{passed: map[string]bool{}, failed: map[string]bool{}}

	var text strings.Builder

	for line := range bytes.Lines(printed) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}

		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return outcome{}, fmt.Errorf("failed to read the output of go test: %w: %s", err, bytes.TrimSpace(line))
		}

		o.add(e)
		text.WriteString(e.Output)
	}

	o.output = text.String()

	return o, nil
}

func (o *outcome) add(e event) {
	switch e.Action {
	case "pass":
		o.passed[e.Test] = true
	case "fail":
		o.failed[e.Test] = true
	case "build-fail":
		o.broken = true
	case "output":
		// Package testing says so of whatever runs then, and it says nothing else about it.
		o.late = o.late || strings.HasPrefix(e.Output, "panic: test timed out after ")
	}
}

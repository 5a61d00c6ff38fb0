// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package labtest is what the tests of more than one package of the lab need.
// It has no tests of its own: every one of theirs goes through it.
package labtest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/talos-rebound/rebound/hack/lab/component"
)

// Rebound builds the binary that is released, from the root module's folder, and
// returns its path.
func Rebound(t *testing.T, root string) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), "rebound")

	if err := BuildRebound(t.Context(), root, path); err != nil {
		t.Fatal(err)
	}

	return path
}

// BuildRebound does the same for who keeps the binary longer than a test.
func BuildRebound(ctx context.Context, root, path string) error {
	return build(ctx, root, path, "./cmd/rebound")
}

// BuildCoordinator builds the coordinator, which is a module of its own, for who
// keeps the binary longer than a test.
func BuildCoordinator(ctx context.Context, root, path string) error {
	return build(ctx, filepath.Join(root, "cmd", "rebound-coordinator"), path, ".")
}

// KubernetesVersion is the version of Kubernetes that the labs of the tests are to
// run, 1.34 for example, or empty for the usual one.
func KubernetesVersion() string { return os.Getenv("K8S") }

// RequireKubernetes is for TestMain: it builds the programs of that version, which
// takes minutes the first time, and has the labs of this process use them. It ends
// the process if it cannot.
func RequireKubernetes(root string) {
	if err := buildKubernetes(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func buildKubernetes(root string) error {
	version := KubernetesVersion()

	path, err := filepath.Abs(filepath.Join(root, "build", "lab-bin", "kubernetes-"+cmp.Or(version, "default")))
	if err != nil {
		return fmt.Errorf("failed to find the folder of binaries: %w", err)
	}

	script := filepath.Join(root, "hack", "kubernetes", "build.sh")

	if output, err := exec.Command(script, version, path).CombinedOutput(); err != nil {
		return fmt.Errorf("failed to build Kubernetes: %w:\n%s", err, output)
	}

	return os.Setenv(component.KubernetesVariable, path)
}

func build(ctx context.Context, module, path, program string) error {
	if output, err := exec.CommandContext(ctx, "go", "build", "-C", module, "-o", path, program).CombinedOutput(); err != nil {
		return fmt.Errorf("failed to build %s: %w:\n%s", filepath.Base(path), err, output)
	}

	return nil
}

// Screen keeps what is written to it, and can be waited on. Its zero value is
// ready to use.
type Screen struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{}
}

// Write implements io.Writer.
func (s *Screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.written != nil {
		close(s.written)
		s.written = nil
	}

	return s.text.Write(text)
}

// String returns what was written until now.
func (s *Screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.text.String()
}

// Await waits until the text was written. It fails when ctx is done without it.
func (s *Screen) Await(ctx context.Context, text string) error {
	for {
		// What was written last counts, even if it was also the end.
		end := ctx.Err()

		s.mu.Lock()

		if s.written == nil {
			s.written = make(chan struct{})
		}

		all, written := s.text.String(), s.written
		s.mu.Unlock()

		if strings.Contains(all, text) {
			return nil
		}

		if end != nil {
			return fmt.Errorf("%w before %q was written:\n%s", end, text, all)
		}

		select {
		case <-written:
		case <-ctx.Done():
		}
	}
}

// Processes returns the command lines of the processes that have something to
// do with the folder.
func Processes(tb testing.TB, folder string) []string {
	tb.Helper()

	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		tb.Fatal(err)
	}

	var found []string

	for _, path := range paths {
		// A process that has ended meanwhile has none.
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), folder) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}

	return found
}

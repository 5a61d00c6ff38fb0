// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/process"
)

const (
	testStartTimeout = 3 * time.Minute
	failureTail      = 20
)

// New starts a lab for a test and closes it at the test's end.
func New(tb testing.TB, opts ...Option) *Lab {
	tb.Helper()

	ctx, cancel := context.WithTimeout(tb.Context(), testStartTimeout)
	defer cancel()

	lab, err := Start(ctx, opts...)
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() {
		if err := lab.Close(); err != nil {
			tb.Error(err)
		}
	})

	lab.ShowLogs(tb)

	return lab
}

// ShowLogs makes a test that fails show the end of every component's log, and
// keep the whole of them, the audit log too, among the test's artifacts (see
// the flag -artifacts of go test). New does so by itself; it is for tests that
// share a lab.
func (lab *Lab) ShowLogs(tb testing.TB) {
	tb.Helper()

	tb.Cleanup(func() {
		if !tb.Failed() {
			return
		}

		for _, log := range lab.Logs() {
			tb.Logf("%s:\n%s", filepath.Base(log), process.Tail(log, failureTail))
		}

		if err := os.CopyFS(filepath.Join(tb.ArtifactDir(), "log"), os.DirFS(lab.path("log"))); err != nil {
			tb.Errorf("failed to keep logs: %v", err)
		}
	})
}

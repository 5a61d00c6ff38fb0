// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/process"
)

const (
	testStartTimeout = 2 * time.Minute
	failureTail      = 20
)

// New starts a lab for a test and closes it at the test's end. If the test has
// failed by then, it shows the end of every component's log.
func New(t testing.TB, opts ...Option) *Lab {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), testStartTimeout)
	defer cancel()

	lab, err := Start(ctx, opts...)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if t.Failed() {
			lab.showLogs(t)
		}

		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})

	return lab
}

func (lab *Lab) showLogs(t testing.TB) {
	t.Helper()

	for _, log := range lab.Logs() {
		t.Logf("%s:\n%s", filepath.Base(log), process.Tail(log, failureTail))
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	// startTimeout bounds the start of a lab on a slow machine.
	startTimeout = 3 * time.Minute
	// parallelTests is how many tests run at a time.
	parallelTests = 8
	// failureTail is how many lines of each log a failed test shows.
	failureTail = 20
)

// sharedStart starts the lab that the tests of this package have in common: a
// start costs more than most of the tests. Every test has nodes of its own,
// and DaemonSets that select them.
var sharedStart = sync.OnceValues(func() (*lab.Lab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	return lab.Start(ctx)
})

// sharedUsed says whether there is a lab to close.
var sharedUsed atomic.Bool

func TestMain(m *testing.M) {
	component.RunIfAsked()

	if runVictimIfAsked() {
		return
	}

	labtest.RequireKubernetes(filepath.Join("..", "..", ".."))

	// The default is the number of processors; the tests wait most of the time.
	if err := flag.Set("test.parallel", strconv.Itoa(parallelTests)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}

	code := m.Run()

	if sharedUsed.Load() {
		if err := closeShared(); err != nil {
			fmt.Fprintln(os.Stderr, err)

			code = 1
		}
	}

	if err := closeTheater(); err != nil {
		fmt.Fprintln(os.Stderr, err)

		code = 1
	}

	if err := os.RemoveAll(reboundFolder); err != nil {
		fmt.Fprintln(os.Stderr, err)

		code = 1
	}

	// Closed labs leave nothing running. After a failure that is the smaller worry.
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)

			code = 1
		}
	}

	os.Exit(code)
}

// closeShared closes the shared lab, after a last look at what rebound did in it.
func closeShared() error {
	cluster, err := sharedStart()
	if err != nil {
		return err
	}

	return errors.Join(auditError(cluster), cluster.Close())
}

// shared returns the lab that all tests of this package share.
func shared(t *testing.T) *lab.Lab {
	t.Helper()

	sharedUsed.Store(true)

	cluster, err := sharedStart()
	require.NoError(t, err)

	watch(t, cluster)

	return cluster
}

// alone returns a lab that the test has to itself, for those that stop parts of
// the control plane.
func alone(t *testing.T) *lab.Lab {
	t.Helper()

	cluster, err := lab.Start(within(t, startTimeout))
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, cluster.Close()) })
	watch(t, cluster)

	return cluster
}

// watch makes the test fail if, by its end, rebound has done anything in the lab
// that it must not do. A test that fails shows the end of every component's log,
// and keeps the whole of them, the audit log too, among its artifacts (see the
// flag -artifacts of go test).
func watch(t *testing.T, cluster *lab.Lab) {
	t.Helper()

	t.Cleanup(func() {
		assert.NoError(t, auditError(cluster))

		if !t.Failed() {
			return
		}

		folder := filepath.Join(cluster.Folder(), "log")

		// The error could only be that of a malformed pattern.
		logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
		for _, log := range logs {
			t.Logf("%s:\n%s", filepath.Base(log), component.Tail(log, failureTail))
		}

		assert.NoError(t, os.CopyFS(filepath.Join(t.ArtifactDir(), "log"), os.DirFS(folder)))
	})
}

// auditError is what rebound must not have done, according to the API server.
func auditError(cluster *lab.Lab) error {
	records, err := cluster.Audit()
	if err != nil {
		return err
	}

	if violations := lab.Violations(records); len(violations) > 0 {
		return fmt.Errorf("rebound did what it must not do:\n%s", strings.Join(violations, "\n"))
	}

	return nil
}

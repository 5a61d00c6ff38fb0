// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// startTimeout bounds the start of a lab on a slow machine.
const startTimeout = 3 * time.Minute

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

	code := m.Run()

	if sharedUsed.Load() {
		if err := closeShared(); err != nil {
			fmt.Fprintln(os.Stderr, err) //nolint:errcheck // there is nowhere else to say it

			code = 1
		}
	}

	os.Exit(code)
}

func closeShared() error {
	cluster, err := sharedStart()
	if err != nil {
		return err
	}

	return cluster.Close()
}

// shared returns the lab that all tests of this package share.
func shared(t *testing.T) *lab.Lab {
	t.Helper()

	sharedUsed.Store(true)

	cluster, err := sharedStart()
	require.NoError(t, err)

	cluster.ShowLogs(t)

	return cluster
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)

	return ctx
}

// own returns options which give a node a label and a DaemonSet the selector
// for it, so that a test has both to itself.
func own(name string) (lab.NodeOption, lab.DaemonSetOption) {
	labels := map[string]string{"lab.test/owner": name}

	return lab.WithLabels(labels), lab.NodeSelector(labels)
}

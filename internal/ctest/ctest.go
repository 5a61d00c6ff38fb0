// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package ctest has what tests run on: an in-memory COSI state for controllers, and a cluster of nodes behind a Talos API.
package ctest

import (
	"context"
	"sync"
	"testing"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/controller/runtime"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// NewState makes an in-memory state as a machine has it right after its boot: no resources yet, but these definitions.
func NewState(tb testing.TB, definitions ...meta.ResourceWithRD) state.State {
	tb.Helper()

	st, err := talosapi.NewState(tb.Context(), nil, definitions...)
	require.NoError(tb, err)

	return st
}

// Start runs the controllers on the state until the returned function is called, or the test ends. All their goroutines
// have ended when that function returns.
func Start(tb testing.TB, st state.State, controllers ...controller.Controller) func() {
	tb.Helper()

	rt, err := runtime.NewRuntime(st, zaptest.NewLogger(tb))
	require.NoError(tb, err)

	for _, ctrl := range controllers {
		require.NoError(tb, rt.RegisterController(ctrl))
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))

	var (
		wg     sync.WaitGroup
		runErr error
	)

	wg.Go(func() { runErr = rt.Run(ctx) })

	stop := sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		require.NoError(tb, runErr)
	})
	tb.Cleanup(stop)

	return stop
}

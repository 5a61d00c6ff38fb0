// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"k8s.io/client-go/tools/metrics"
)

const (
	node = "worker-1"
	// patience is how long a test waits for what happens within milliseconds on a machine with nothing else to do.
	patience = 30 * time.Second
)

// cachedTransports counts how often client-go has looked into its cache of transports.
var cachedTransports counter

func TestMain(m *testing.M) {
	metrics.Register(metrics.RegisterOpts{TransportCreateCalls: &cachedTransports})

	goleak.VerifyTestMain(m)
}

type counter struct{ atomic.Int64 }

func (c *counter) Increment(string) { c.Add(1) }

// receive returns what comes out of a channel.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	select {
	case value := <-from:
		return value
	case <-ctx.Done():
		require.FailNow(t, "nothing came", "waited for %s", what)

		panic("not reached")
	}
}

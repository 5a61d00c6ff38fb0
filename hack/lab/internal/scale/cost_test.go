// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
)

// daemonSets is how many Failed pods a reboot leaves on the node.
const daemonSets = 5

// BenchmarkRecovery has a node recover whose client is a process of its own, with
// nothing else in it. That is measured with rebound, from its start until the node
// has recovered, and with a plain client that lists the node's Failed pods and
// deletes them. Each figure is per reboot, and that of rebound is also given as a
// multiple of the plain one.
func BenchmarkRecovery(b *testing.B) {
	alone := startAlone(b, io.Discard)
	// The kubelet lives until the next reboot, which is another benchmark's.
	ctx := b.Context()

	var plain scale.Cost

	b.Run("plain", func(b *testing.B) { plain = reboots(ctx, b, alone, scale.PlainClient) })
	b.Run("rebound", func(b *testing.B) {
		cost := reboots(ctx, b, alone, scale.ReboundClient)

		b.ReportMetric(cost.CPU.Seconds()/plain.CPU.Seconds(), "x-cpu")
		b.ReportMetric(cost.Allocs/plain.Allocs, "x-allocs")
		b.ReportMetric(cost.WireBytes/plain.WireBytes, "x-wire")
		b.ReportMetric(cost.Requests/plain.Requests, "x-requests")
		b.ReportMetric(cost.HeapAtRest/1024, "rest-heap-KiB")
		b.ReportMetric(cost.GoroutinesAtRest, "rest-goroutines")
		b.ReportMetric(cost.WireBytesAtRest, "rest-wire-B")
	})
}

// reboots returns the mean of b.N of them.
func reboots(ctx context.Context, b *testing.B, alone *scale.Alone, client string) scale.Cost {
	b.Helper()

	var (
		sum scale.Cost
		n   float64
	)

	for b.Loop() {
		cost, err := alone.Reboot(ctx, client, time.Second)
		require.NoError(b, err)

		sum = sum.Plus(cost)
		n++
	}

	mean := sum.Times(1 / n)

	// What the reboot itself takes is the lab's time.
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(mean.CPU.Seconds()*1000, "cpu-ms/reboot")
	b.ReportMetric(mean.Allocs, "allocs/reboot")
	b.ReportMetric(mean.Bytes/1024, "alloc-KiB/reboot")
	b.ReportMetric(mean.WireBytes/1024, "wire-KiB/reboot")
	b.ReportMetric(mean.Connections, "connections/reboot")
	b.ReportMetric(mean.Requests, "requests/reboot")

	return mean
}

// The promise is not a figure of one machine: so many requests, and then none.
func TestANodeThatHasRecoveredSendsNothing(t *testing.T) {
	alone := startAlone(t, t.Output())

	for range 2 {
		cost, err := alone.Reboot(t.Context(), scale.ReboundClient, 5*time.Second)
		require.NoError(t, err)
		t.Logf("%+v", cost)

		assert.LessOrEqual(t, cost.Requests, 20.0, "for %d pods", daemonSets)
		assert.Zero(t, cost.WireBytesAtRest, "at rest")
		assert.Zero(t, cost.ConnectionsAtRest, "at rest")
		assert.Less(t, cost.HeapAtRest, 2048.0*1024, "at rest")
	}
}

func startAlone(tb testing.TB, progress io.Writer) *scale.Alone {
	tb.Helper()

	alone, err := scale.StartAlone(tb.Context(), daemonSets, progress)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, alone.Stop()) })

	return alone
}

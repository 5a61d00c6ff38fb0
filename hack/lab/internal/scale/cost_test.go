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
// nothing else in it. That is measured with rebound, from the boot until it is at
// rest (with a settle time of one second), and with a plain client that lists the
// node's Failed pods and deletes them. Each figure is per reboot, and those of
// rebound are also given as multiples of the plain ones.
func BenchmarkRecovery(b *testing.B) {
	alone := startAlone(b, io.Discard)
	// The kubelet lives until the next reboot, which is another benchmark's.
	ctx := b.Context()

	var plain scale.Cost

	b.Run("plain", func(b *testing.B) { plain = reboots(ctx, b, alone, scale.PlainClient) })
	b.Run("rebound", func(b *testing.B) {
		cost := reboots(ctx, b, alone, scale.ReboundClient)

		b.ReportMetric(cost.HeapAtRest/cost.Times/1024, "rest-heap-KiB")
		b.ReportMetric(cost.GoroutinesAtRest/cost.Times, "rest-goroutines")
		b.ReportMetric(cost.WireBytesAtRest/cost.Times, "rest-wire-B")

		if plain.Times == 0 {
			return
		}

		times := cost.Times / plain.Times
		b.ReportMetric(cost.CPU.Seconds()/plain.CPU.Seconds()/times, "x-cpu")
		b.ReportMetric(cost.Allocs/plain.Allocs/times, "x-allocs")
		b.ReportMetric(cost.WireBytes/plain.WireBytes/times, "x-wire")
		b.ReportMetric(cost.Requests/plain.Requests/times, "x-requests")
	})
}

// reboots returns the sum of b.N of them.
func reboots(ctx context.Context, b *testing.B, alone *scale.Alone, client string) scale.Cost {
	b.Helper()

	var sum scale.Cost

	for b.Loop() {
		cost, err := alone.Reboot(ctx, client, time.Second)
		require.NoError(b, err)

		sum = sum.Plus(cost)
	}

	// What the reboot itself takes is the lab's time.
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(sum.CPU.Seconds()*1000/sum.Times, "cpu-ms/reboot")
	b.ReportMetric(sum.Allocs/sum.Times, "allocs/reboot")
	b.ReportMetric(sum.Bytes/sum.Times/1024, "alloc-KiB/reboot")
	b.ReportMetric(sum.WireBytes/sum.Times/1024, "wire-KiB/reboot")
	b.ReportMetric(sum.Connections/sum.Times, "connections/reboot")
	b.ReportMetric(sum.Requests/sum.Times, "requests/reboot")

	return sum
}

func TestANodeThatHasRecoveredSendsNothing(t *testing.T) {
	alone := startAlone(t, t.Output())

	for range 2 {
		cost, err := alone.Reboot(t.Context(), scale.ReboundClient, 5*time.Second)
		require.NoError(t, err)
		t.Logf("%+v", cost)

		// An event for each delete; and some requests more when the machine is busy.
		assert.GreaterOrEqual(t, cost.Requests, 2.0*daemonSets)
		assert.LessOrEqual(t, cost.Requests, 30.0)
		assert.Positive(t, cost.CPU)
		assert.Positive(t, cost.WireBytes)
		assert.Zero(t, cost.WireBytesAtRest, "at rest")
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

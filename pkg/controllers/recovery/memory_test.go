// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// TestASettledControllerHoldsLittleMemory is about what stays in machined for good. It measures, so it runs alone.
func TestASettledControllerHoldsLittleMemory(t *testing.T) {
	const daemonSets = 20

	bootAlone(t, func(m *machine) {
		for i := range daemonSets {
			m.cluster.create(fmt.Sprintf("agent-%d", i), leftover)
		}

		before := heap()

		m.up()
		after(time.Second)

		for i := range daemonSets {
			m.cluster.create(fmt.Sprintf("agent-%d", i), ready)
		}

		after(time.Minute)
		require.Equal(t, specs.PhaseRecovered, m.phase())

		held := heap() - before
		t.Logf("%d DaemonSets recovered: %d KiB stay", daemonSets, held/1024)
		assert.Less(t, held, int64(1<<20))
	})
}

// heap is what is in use after a collection.
func heap() int64 {
	var stats runtime.MemStats

	for range 3 {
		runtime.GC()
	}

	runtime.ReadMemStats(&stats)

	return int64(stats.HeapAlloc)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// waits returns how long each of ten nodes, which boot at the same moment, takes until it watches its pods.
func waits(t *testing.T, reading time.Duration) []time.Duration {
	t.Helper()

	var (
		mu    sync.Mutex
		taken []time.Duration
	)

	t.Run("nodes", func(t *testing.T) {
		for i := range 10 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				boot(t, func(m *machine) {
					m.cluster.reading = reading

					began := time.Now()

					m.up()

					for m.cluster.watches() == 0 {
						after(100 * time.Millisecond)
					}

					mu.Lock()
					defer mu.Unlock()

					taken = append(taken, time.Since(began))
				})
			})
		}
	})

	return taken
}

func TestNodesThatFindTheAPIServerBusySpread(t *testing.T) {
	taken := waits(t, time.Second)

	assert.GreaterOrEqual(t, slices.Min(taken), time.Second)
	assert.LessOrEqual(t, slices.Max(taken), 12*time.Second)
	assert.Greater(t, slices.Max(taken)-slices.Min(taken), time.Second, "they go on together: %v", taken)
}

func TestNoNodeWaitsLongForABusyAPIServer(t *testing.T) {
	assert.LessOrEqual(t, slices.Max(waits(t, 14*time.Second)), 75*time.Second)
}

func TestANodeThatIsAnsweredSoonDoesNotWait(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.reading = 200 * time.Millisecond

		m.up()
		after(200 * time.Millisecond)
		assert.Equal(t, 1, m.cluster.watches())
	})
}

// An event is left after its delete, and deletes do not wait for it.
func TestEventsAreLeftOneAfterTheOther(t *testing.T) {
	boot(t, func(m *machine) {
		most := 0

		m.cluster.recording = time.Second

		for i := range 5 {
			m.cluster.create(fmt.Sprintf("daemon-%d", i), leftover)
		}

		m.up()
		after(500 * time.Millisecond)
		assert.Len(t, m.cluster.deleted(), 5)

		for range 5 {
			before := len(m.cluster.recorded())

			after(time.Second)
			most = max(most, len(m.cluster.recorded())-before)
		}

		assert.Equal(t, 1, most)
		assert.Len(t, m.cluster.recorded(), 5)
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package backoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/backoff"
)

func TestTheDelayDoublesUpToItsLimit(t *testing.T) {
	t.Parallel()

	for n, want := range map[int]time.Duration{
		-1: 0, 0: 0, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 7 * time.Second, 5: 7 * time.Second,
		math.MaxInt: 7 * time.Second,
	} {
		assert.Equal(t, want, backoff.Delay(n, time.Second, 7*time.Second), n)
	}
}

func TestALimitThatIsShorterThanTheFirstDelayHolds(t *testing.T) {
	t.Parallel()

	assert.Equal(t, time.Second, backoff.Delay(1, time.Minute, time.Second))
	assert.Equal(t, time.Second, backoff.Delay(2, time.Minute, time.Second))
}

// TestTheLongestTimeThereIsDoesNotOverflow holds for a limit that is as good as none.
func TestTheLongestTimeThereIsDoesNotOverflow(t *testing.T) {
	t.Parallel()

	assert.Equal(t, time.Duration(math.MaxInt64), backoff.Delay(100, time.Second, math.MaxInt64))
}

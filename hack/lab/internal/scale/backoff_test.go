// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
)

func TestBackoffDoublesWithEveryDelete(t *testing.T) {
	t.Parallel()

	b, now := scale.NewBackoffs(), time.Now()

	assert.False(t, b.Holds("a", now), "nothing was deleted")

	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		b.Deleted("a", now)

		end := now.Add(want * time.Second)
		assert.True(t, b.Holds("a", end.Add(-time.Millisecond)), want)
		assert.False(t, b.Holds("a", end), want)

		now = end
	}

	assert.False(t, b.Holds("b", now), "another node")
}

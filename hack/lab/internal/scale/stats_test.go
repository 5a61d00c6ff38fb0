// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
)

func TestPercentileIsOneOfTheTimes(t *testing.T) {
	t.Parallel()

	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[99-i] = time.Duration(i+1) * time.Second
	}

	for share, want := range map[float64]time.Duration{0: time.Second, 0.5: 50 * time.Second, 0.99: 99 * time.Second, 1: 100 * time.Second} {
		assert.Equal(t, want, scale.Percentile(hundred, share), share)
	}

	assert.Equal(t, 100*time.Second, hundred[0], "it was sorted in place")
	assert.Equal(t, 3*time.Second, scale.Percentile([]time.Duration{3 * time.Second}, 0.99))
	assert.Zero(t, scale.Percentile(nil, 0.99))
}

func TestExponentIsThatOfAPower(t *testing.T) {
	t.Parallel()

	for _, want := range []float64{-1, 0, 0.5, 1, 2} {
		b, ok := scale.Exponent([]scale.PointT{
			scale.Point(10, 3*math.Pow(10, want)), scale.Point(30, 3*math.Pow(30, want)), scale.Point(1000, 3*math.Pow(1000, want)),
		})
		require.True(t, ok)
		assert.InDelta(t, want, b, 1e-9)
	}

	// Errors that are the same on both sides cancel.
	b, ok := scale.Exponent([]scale.PointT{scale.Point(1, 2), scale.Point(1, 0.5), scale.Point(10, 20), scale.Point(10, 5)})
	require.True(t, ok)
	assert.InDelta(t, 1, b, 1e-9)
}

func TestExponentNeedsTwoNumbersOfNodes(t *testing.T) {
	t.Parallel()

	for name, points := range map[string][]scale.PointT{
		"none": nil, "one": {scale.Point(10, 1)}, "the same twice": {scale.Point(10, 1), scale.Point(10, 2)},
		"no time": {scale.Point(10, 0), scale.Point(100, 1)},
	} {
		_, ok := scale.Exponent(points)
		assert.False(t, ok, name)
	}
}

func TestFewNodesAreRebootedMoreOften(t *testing.T) {
	t.Parallel()

	for nodes, want := range map[int]int{1: 3, 10: 3, 30: 2, 60: 1, 1000: 1} {
		assert.Equal(t, want, scale.Rounds(nodes), nodes)
	}
}

func TestTimesCountFromEachNodesOwnKubelet(t *testing.T) {
	t.Parallel()

	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

	took, lasted := scale.Durations([]time.Time{at(5), at(1), at(3), at(9)}, map[string]time.Time{
		"node-0000": at(6), "node-0001": at(8), "node-0003": at(7),
	})
	assert.Equal(t, []time.Duration{time.Second, 7 * time.Second, 0}, took)
	assert.Equal(t, 7*time.Second, lasted)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"math"
	"slices"
	"time"
)

// percentile returns the smallest of the durations that is not less than that
// share of them, which is from 0 to 1. Of none it is zero.
func percentile(durations []time.Duration, share float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}

	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(share * float64(len(sorted))))

	return sorted[min(max(rank, 1), len(sorted))-1]
}

// point is one measurement of a curve; both values are positive.
type point struct{ x, y float64 }

// exponent returns b of the curve y = a·x^b that is nearest to the points, by least
// squares of the logarithms. It is false if the points have fewer than two
// different x, or one that has no logarithm.
func exponent(points []point) (float64, bool) {
	var n, sx, sy, sxx, sxy float64

	for _, p := range points {
		if p.x <= 0 || p.y <= 0 {
			return 0, false
		}

		x, y := math.Log(p.x), math.Log(p.y)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}

	spread := n*sxx - sx*sx
	if spread < 1e-9 {
		return 0, false
	}

	return (n*sxy - sx*sy) / spread, true
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package backoff says how long to wait until something that has failed is tried again. It neither waits nor counts.
package backoff

import "time"

// Delay returns the time to wait after n failures in a row: 0 for n < 1, then first, 2*first, 4*first, … up to limit.
func Delay(n int, first, limit time.Duration) time.Duration {
	if n < 1 {
		return 0
	}

	d := first
	for range n - 1 {
		if d >= limit/2 {
			return limit
		}

		d *= 2
	}

	return min(d, limit)
}

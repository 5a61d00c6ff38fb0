// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"testing"
	"time"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// manyWindows are as many as a policy may have, in several zones, and a quarter of an hour long each.
func manyWindows(tb testing.TB) []reboot.Window {
	tb.Helper()

	windows := make([]reboot.Window, 32)
	zones := []string{berlin, dublin, "America/New_York", lordHowe}

	for i := range windows {
		start := reboot.TimeOfDay(30 * i)
		windows[i] = reboot.Window{Start: start, End: start + 15, Location: location(tb, zones[i%len(zones)])}
	}

	return windows
}

func BenchmarkOpenUntil(b *testing.B) {
	now := moment(b, "2024-03-05T12:00:00Z")

	for name, windows := range map[string][]reboot.Window{
		"AnEnd": manyWindows(b),
		"NoEnd": append(manyWindows(b)[1:], reboot.Window{}), // the longest search
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				reboot.OpenUntil(windows, now)
			}
		})
	}
}

func BenchmarkNextOpening(b *testing.B) {
	now := moment(b, "2024-03-05T12:00:00Z")
	windows := manyWindows(b)

	for name, need := range map[string]time.Duration{
		"LongEnough": 10 * time.Minute,
		"TooShort":   30 * time.Hour, // the longest search
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				reboot.NextOpening(windows, now, need)
			}
		})
	}
}

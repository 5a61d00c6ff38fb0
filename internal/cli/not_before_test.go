// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/cli"
)

func TestNotBeforeIsATimeADurationOrATimeOfDay(t *testing.T) {
	t.Parallel()

	now := at(t, "2026-03-28T20:30:15.5+01:00")

	for text, want := range map[string]string{
		"2026-03-28T22:00:00Z":      "2026-03-28T22:00:00Z",
		"2026-03-29T22:00:00+05:30": "2026-03-29T16:30:00Z",
		"22:00":                     "2026-03-28T21:00:00Z",
		"20:31":                     "2026-03-28T19:31:00Z",
		"23:59":                     "2026-03-28T22:59:00Z",
		"+2h":                       "2026-03-28T21:30:16Z", // never sooner than was asked for
		"+1ns":                      "2026-03-28T19:30:16Z",
		"+36h30m":                   "2026-03-30T08:00:16Z",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			got, err := cli.ParseNotBefore(text, now)
			require.NoError(t, err)
			assert.Equal(t, want, got.UTC().Format(time.RFC3339Nano))
		})
	}
}

func TestNotBeforeRefusesThePastAndWhatIsNoTime(t *testing.T) {
	t.Parallel()

	const noTime, noDuration = "is no time: write 22:00, +2h or 2026-03-01T22:00:00Z", "is no duration such as +90m or +2h"

	now := at(t, "2026-03-28T20:30:15+01:00")

	for text, want := range map[string]string{
		"20:30":                     "has passed: it is 20:30; for tomorrow write 2026-03-29T20:30:00+02:00",
		"00:00":                     "has passed: it is 20:30; for tomorrow write 2026-03-29T00:00:00+01:00",
		"2026-03-28T20:30:15+01:00": "has passed: it is 2026-03-28T20:30:15+01:00",
		"2025-03-28T22:00:00Z":      "has passed: it is 2026-03-28T20:30:15+01:00",
		"+0s":                       "is not in the future",
		"+-2h":                      "is not in the future",
		"++2h":                      "is not in the future",
		"-2h":                       noTime,
		"2h":                        noTime,
		"24:00":                     noTime,
		"tomorrow":                  noTime,
		"2026-03-28":                noTime,
		"+soon":                     noDuration,
		"+":                         noDuration,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			_, err := cli.ParseNotBefore(text, now)
			require.EqualError(t, err, want)
		})
	}
}

// TestNotBeforeRefusesATimeThatTheClockSkips is about 29 March in Berlin, where 02:00 is followed by 03:00.
func TestNotBeforeRefusesATimeThatTheClockSkips(t *testing.T) {
	t.Parallel()

	now := at(t, "2026-03-29T00:10:00+01:00")

	_, err := cli.ParseNotBefore("02:30", now)
	require.EqualError(t, err, "does not exist today: the clock is changed then")

	got, err := cli.ParseNotBefore("03:30", now)
	require.NoError(t, err)
	assert.Equal(t, "2026-03-29T01:30:00Z", got.UTC().Format(time.RFC3339))
}

// at is a moment on the clocks of Berlin.
func at(t *testing.T, text string) time.Time {
	t.Helper()

	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)

	moment, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)

	return moment.In(zone)
}

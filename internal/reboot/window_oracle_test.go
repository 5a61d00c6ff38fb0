// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// changes are times at which the clocks of a zone change, or do not.
var changes = []struct {
	zone, at string
	by       time.Duration
}{
	{utc, "2024-02-29T00:00:00Z", 0},
	{"Asia/Kolkata", "2024-12-31T18:30:00Z", 0},
	{berlin, "2024-03-31T01:00:00Z", time.Hour},
	{berlin, "2024-10-27T01:00:00Z", -time.Hour},
	{dublin, "2024-03-31T01:00:00Z", time.Hour},
	{dublin, "2024-10-27T01:00:00Z", -time.Hour},
	{"America/New_York", "2024-03-10T07:00:00Z", time.Hour},
	{"America/New_York", "2024-11-03T06:00:00Z", -time.Hour},
	{"America/Havana", "2012-04-01T05:00:00Z", time.Hour},
	{"America/Havana", "2012-11-04T05:00:00Z", -time.Hour},
	{"Africa/Casablanca", "2019-05-05T02:00:00Z", -time.Hour},
	{"Africa/Casablanca", "2019-06-09T02:00:00Z", time.Hour},
	{saoPaulo, "2018-11-04T03:00:00Z", time.Hour},
	{saoPaulo, "2019-02-17T02:00:00Z", -time.Hour},
	{cairo, "2010-04-29T22:00:00Z", time.Hour},
	{cairo, "2010-09-30T21:00:00Z", -time.Hour},
	{beirut, "2022-03-26T22:00:00Z", time.Hour},
	{beirut, "2022-10-29T21:00:00Z", -time.Hour},
	{stJohns, "2010-03-14T03:31:00Z", time.Hour},
	{stJohns, "2010-11-07T02:31:00Z", -time.Hour},
	{lordHowe, "2024-10-05T15:30:00Z", 30 * time.Minute},
	{lordHowe, "2024-04-06T15:00:00Z", -30 * time.Minute},
	{"Antarctica/Troll", "2024-03-31T01:00:00Z", 2 * time.Hour},
	{"Antarctica/Troll", "2024-10-27T01:00:00Z", -2 * time.Hour},
	{"Asia/Kathmandu", "1985-12-31T18:30:00Z", 15 * time.Minute},
	{apia, "2011-12-30T10:00:00Z", 24 * time.Hour},
	{kwajalein, "1969-09-30T13:00:00Z", -23 * time.Hour},
	{kwajalein, "1993-08-21T12:00:00Z", 24 * time.Hour},
}

// others are zones for a window beside those of the zone that changes.
var others = []string{berlin, utc, "Asia/Kolkata", "America/New_York"}

// horizon is that of OpenUntil and NextOpening.
const horizon = 5 * 7 * 24 * time.Hour

// nearby is how far from the change windows are looked at.
const nearby = 9 * 24 * time.Hour

// backward is more than any clock is set back.
const backward = 24 * time.Hour

// maxNeed is the longest time that is asked for.
const maxNeed = 4 * 24 * time.Hour

// TestWindowsAgainstEveryMinute compares with what one finds who looks at a wall clock every minute.
func TestWindowsAgainstEveryMinute(t *testing.T) {
	t.Parallel()

	for i, change := range changes {
		t.Run(change.zone+" "+change.at, func(t *testing.T) {
			t.Parallel()

			at := moment(t, change.at)
			require.Equal(t, change.by, offset(t, change.zone, at)-offset(t, change.zone, at.Add(-1)), "the clock changes in another way")

			clocks := &clocks{from: at.Add(-nearby - backward), shown: map[*time.Location][]int{}}
			zones := []*time.Location{location(t, change.zone), location(t, others[i%len(others)])}

			rapid.Check(t, func(t *rapid.T) {
				windows := rapid.SliceOfN(windowsAround(zones, at), 1, 4).Draw(t, "windows")
				from := at.Add(rapid.OneOf(durations(-nearby, nearby), durations(-3*time.Hour, 3*time.Hour)).Draw(t, "from the change"))
				need := rapid.OneOf(durations(0, maxNeed), durations(0, 3*time.Hour), durations(0, 3*time.Hour)).Draw(t, "need")

				if rapid.Bool().Draw(t, "whole minutes") {
					from, need = from.Truncate(time.Minute), need.Truncate(time.Minute)
				}

				clocks.check(t, windows, from, need)
			})
		})
	}
}

func offset(t *testing.T, zone string, at time.Time) time.Duration {
	t.Helper()

	_, seconds := at.In(location(t, zone)).Zone()

	return time.Duration(seconds) * time.Second
}

func durations(least, most time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64Range(int64(least), int64(most)), func(n int64) time.Duration { return time.Duration(n) })
}

// windowsAround makes up windows. Their times are often those at which the clock is around the change.
func windowsAround(zones []*time.Location, change time.Time) *rapid.Generator[reboot.Window] {
	return rapid.Custom(func(t *rapid.T) reboot.Window {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")

		anyTime := rapid.IntRange(0, 24*60-1)
		nearChange := rapid.Custom(func(t *rapid.T) int {
			side := change.Add(time.Duration(rapid.IntRange(-1, 0).Draw(t, "side"))).In(zone)

			return (side.Hour()*60 + side.Minute() + rapid.IntRange(-90, 90).Draw(t, "minutes") + 24*60) % (24 * 60)
		})
		times := rapid.Map(rapid.OneOf(anyTime, nearChange, nearChange, rapid.Just(0)), func(n int) reboot.TimeOfDay { return reboot.TimeOfDay(n) })

		window := reboot.Window{
			Days:     rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, 6), func(n int) time.Weekday { return time.Weekday(n) }), 0, 7, rapid.ID).Draw(t, "days"),
			Start:    times.Draw(t, "start"),
			Location: zone,
		}

		window.End = rapid.OneOf(times, rapid.Just(window.Start)).Draw(t, "end")

		return window
	})
}

// week is the number of minutes in one.
const week = 7 * 24 * 60

// clocks are wall clocks that somebody looks at every minute, beginning with the minute from.
type clocks struct {
	from  time.Time
	shown map[*time.Location][]int
}

// in returns for every minute the latest that the clock of a zone has shown until then, since what it shows once more does
// not count. It is the minute of the week, from Sunday 00:00.
func (c *clocks) in(zone *time.Location) []int {
	if c.shown[zone] != nil {
		return c.shown[zone]
	}

	latest, minuteOfWeek := 0, 0
	shown := make([]int, 0, (2*nearby+backward+horizon+maxNeed)/time.Minute+1)

	// Every zone of these tests is ahead of UTC by whole minutes.
	for n := range cap(shown) {
		clock := c.minute(n).In(zone)
		year, month, day := clock.Date()
		hour, minute, _ := clock.Clock()

		// Months may be as long as they like: of two numbers the later one is the greater one.
		if shows := (((year*12+int(month))*31+day)*24+hour)*60 + minute; shows > latest {
			latest, minuteOfWeek = shows, (int(clock.Weekday())*24+hour)*60+minute
		}

		shown = append(shown, minuteOfWeek)
	}

	c.shown[zone] = shown

	return shown
}

// minute returns when a minute begins.
func (c *clocks) minute(n int) time.Time { return c.from.Add(time.Duration(n) * time.Minute) }

// isOpen returns what tells whether one of the windows is open in a minute.
func (c *clocks) isOpen(windows []reboot.Window) func(minute int) bool {
	type clock struct {
		zone  *time.Location
		shown []int
		open  [week]bool // by what it shows
	}

	var clocks []*clock

	for _, window := range windows {
		i := slices.IndexFunc(clocks, func(c *clock) bool { return c.zone == window.Location })
		if i < 0 {
			i = len(clocks)
			clocks = append(clocks, &clock{zone: window.Location, shown: c.in(window.Location)})
		}

		addMinutes(&clocks[i].open, window)
	}

	return func(minute int) bool {
		for _, clock := range clocks {
			if clock.open[clock.shown[minute]] {
				return true
			}
		}

		return false
	}
}

// addMinutes adds the minutes of the week in which a window is open.
func addMinutes(open *[week]bool, window reboot.Window) {
	for day := range time.Weekday(7) {
		if len(window.Days) > 0 && !slices.Contains(window.Days, day) {
			continue
		}

		minute := int(day)*24*60 + int(window.Start)

		for open[minute] = true; ; open[minute] = true {
			minute = (minute + 1) % week

			if minute%(24*60) == int(window.End) {
				break
			}
		}
	}
}

// check compares OpenUntil and NextOpening with what somebody sees who looks every minute.
func (c *clocks) check(t require.TestingT, windows []reboot.Window, from time.Time, need time.Duration) {
	isOpen := c.isOpen(windows)
	first := int(from.Sub(c.from) / time.Minute)
	end := int(from.Add(horizon+need).Sub(c.from)/time.Minute) + 1

	// closes returns the minute with which windows close that are open in this one.
	closes := func(minute int) int {
		for minute < end && isOpen(minute) {
			minute++
		}

		return minute
	}

	until, open := reboot.OpenUntil(windows, from)
	require.Equal(t, isOpen(first), open, "open at %s", from)

	if want := c.minute(closes(first)); open && want.Sub(from) < horizon {
		require.Equal(t, want, until, "open from %s", from)
	} else {
		require.Zero(t, until, "open from %s", from)
	}

	at, ok := reboot.NextOpening(windows, from, need)

	for minute, start := first, from; !start.After(from.Add(horizon)); start = c.minute(minute) {
		if !isOpen(minute) {
			minute++

			continue
		}

		minute = closes(minute)

		if c.minute(minute).Sub(start) >= need {
			require.True(t, ok, "there is no time from %s for %s", from, need)
			require.Equal(t, start, at, "the time from %s for %s", from, need)

			return
		}
	}

	require.False(t, ok, "the time from %s for %s", from, need)
}

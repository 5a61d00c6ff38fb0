// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"regexp"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// In these zones the clocks are changed in all the ways that matter. The dates are in the tests.
const (
	berlin    = "Europe/Berlin"       // at 02:00 and 03:00 on a Sunday
	dublin    = "Europe/Dublin"       // the same, but it is winter time that counts as the special one
	saoPaulo  = "America/Sao_Paulo"   // forward at 00:00 on a Sunday, which had no 00:00; back at 00:00 to Saturday
	cairo     = "Africa/Cairo"        // forward at 00:00 on a Friday
	beirut    = "Asia/Beirut"         // forward at 00:00 on a Sunday, and back at 00:00 to Saturday
	stJohns   = "America/St_Johns"    // until 2011 at 00:01 on a Sunday, so that 00:00 came, and Saturday after it once more
	lordHowe  = "Australia/Lord_Howe" // by half an hour
	apia      = "Pacific/Apia"        // had no Friday, 30 December 2011
	kwajalein = "Pacific/Kwajalein"   // had 30 September 1969 twice, but for an hour, and no 21 August 1993
	utc       = "UTC"
)

// window is one of every day if no days are named.
func window(tb testing.TB, zone, start, end string, days ...time.Weekday) reboot.Window {
	tb.Helper()

	return reboot.Window{Days: days, Start: timeOfDay(tb, start), End: timeOfDay(tb, end), Location: location(tb, zone)}
}

func timeOfDay(tb testing.TB, s string) reboot.TimeOfDay {
	tb.Helper()

	parsed, err := reboot.ParseTimeOfDay(s)
	require.NoError(tb, err)

	return parsed
}

func location(tb testing.TB, zone string) *time.Location {
	tb.Helper()

	loaded, err := time.LoadLocation(zone)
	require.NoError(tb, err)

	return loaded
}

func moment(tb testing.TB, s string) time.Time {
	tb.Helper()

	parsed, err := time.Parse(time.RFC3339, s)
	require.NoError(tb, err)

	return parsed
}

func TestWhenWindowsAreOpen(t *testing.T) {
	t.Parallel()

	const (
		closed = ""
		noEnd  = "no end"
	)

	type windows []reboot.Window

	for _, tt := range []struct {
		name    string
		windows windows
		at      string
		until   string
	}{
		{"without windows it is always open", nil, "2024-03-05T12:00:00Z", noEnd},
		{"the zero window is the whole of every day", windows{{}}, "2024-03-05T12:00:00Z", noEnd},
		{"a window without a zone is in UTC", windows{{Start: 60, End: 120}}, "2024-03-05T01:30:00Z", "2024-03-05T02:00:00Z"},

		{"open at the start", windows{window(t, utc, "22:00", "23:00")}, "2024-03-05T22:00:00Z", "2024-03-05T23:00:00Z"},
		{"closed just before the start", windows{window(t, utc, "22:00", "23:00")}, "2024-03-05T21:59:59Z", closed},
		{"open just before the end", windows{window(t, utc, "22:00", "23:00")}, "2024-03-05T22:59:59Z", "2024-03-05T23:00:00Z"},
		{"closed at the end", windows{window(t, utc, "22:00", "23:00")}, "2024-03-05T23:00:00Z", closed},
		{"closed on another day", windows{window(t, utc, "22:00", "23:00", time.Monday)}, "2024-03-05T22:30:00Z", closed},
		{"open on one of its days", windows{window(t, utc, "22:00", "23:00", time.Monday, time.Tuesday)}, "2024-03-05T22:30:00Z", "2024-03-05T23:00:00Z"},
		{"a day that does not exist never comes", windows{window(t, utc, "22:00", "23:00", 7)}, "2024-03-05T22:30:00Z", closed},
		{"the wall clock is that of the zone", windows{window(t, berlin, "22:00", "23:00")}, "2024-03-05T21:30:00Z", "2024-03-05T22:00:00Z"},

		{"over midnight it ends on the next day", windows{window(t, utc, "22:00", "02:00", time.Friday)}, "2024-03-09T01:00:00Z", "2024-03-09T02:00:00Z"},
		{"over midnight it ends on no day of its own", windows{window(t, utc, "22:00", "02:00", time.Friday)}, "2024-03-08T01:00:00Z", closed},
		{"it may end at midnight", windows{window(t, utc, "22:00", "00:00", time.Friday)}, "2024-03-08T23:00:00Z", "2024-03-09T00:00:00Z"},
		{"the same time twice is a whole day", windows{window(t, utc, "08:00", "08:00", time.Friday)}, "2024-03-09T07:59:00Z", "2024-03-09T08:00:00Z"},
		{"a whole day of 23 hours", windows{window(t, berlin, "12:00", "12:00", time.Saturday)}, "2024-03-30T12:00:00+01:00", "2024-03-31T12:00:00+02:00"},
		{"a whole day of 25 hours", windows{window(t, berlin, "12:00", "12:00", time.Saturday)}, "2024-10-26T12:00:00+02:00", "2024-10-27T12:00:00+01:00"},

		{"a skipped start is when the clock is set", windows{window(t, berlin, "02:30", "04:00")}, "2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"},
		{"a skipped start is not before that", windows{window(t, berlin, "02:30", "04:00")}, "2024-03-31T01:59:59+01:00", closed},
		{"a skipped end is when the clock is set", windows{window(t, berlin, "01:00", "02:30")}, "2024-03-31T01:30:00+01:00", "2024-03-31T03:00:00+02:00"},
		{"a window that is skipped whole does not open", windows{window(t, berlin, "02:10", "02:50")}, "2024-03-31T03:00:00+02:00", closed},
		{"a start that comes twice is the first one", windows{window(t, berlin, "02:30", "05:00")}, "2024-10-27T02:30:00+02:00", "2024-10-27T05:00:00+01:00"},
		{"an end that comes twice is the first one", windows{window(t, berlin, "01:00", "02:30")}, "2024-10-27T02:29:00+02:00", "2024-10-27T02:30:00+02:00"},
		{"it does not open again for the second hour", windows{window(t, berlin, "01:00", "02:30")}, "2024-10-27T02:15:00+01:00", closed},
		{"an hour that comes twice belongs to it twice", windows{window(t, berlin, "02:00", "03:00")}, "2024-10-27T02:00:00+02:00", "2024-10-27T03:00:00+01:00"},
		{"negative summer time is a change as any other", windows{window(t, dublin, "00:30", "01:30")}, "2024-10-27T00:45:00+01:00", "2024-10-27T01:30:00+01:00"},
		{"half an hour is skipped", windows{window(t, lordHowe, "02:15", "03:00")}, "2024-10-06T02:30:00+11:00", "2024-10-06T03:00:00+11:00"},
		{"half an hour comes twice", windows{window(t, lordHowe, "01:00", "02:15")}, "2024-04-07T01:45:00+11:00", "2024-04-07T02:15:00+10:30"},

		{"a start at a midnight that is skipped", windows{window(t, saoPaulo, "00:00", "04:00", time.Sunday)}, "2018-11-04T01:00:00-02:00", "2018-11-04T04:00:00-02:00"},
		{"an end at a midnight that is skipped", windows{window(t, cairo, "22:00", "00:00", time.Thursday)}, "2010-04-29T23:00:00+02:00", "2010-04-30T01:00:00+03:00"},
		{"a start before a midnight that is skipped", windows{window(t, beirut, "23:00", "02:00", time.Saturday)}, "2022-03-26T23:30:00+02:00", "2022-03-27T02:00:00+03:00"},
		{"back over midnight the day has not ended", windows{window(t, beirut, "22:00", "00:00", time.Saturday)}, "2022-10-29T23:30:00+03:00", "2022-10-30T00:00:00+02:00"},
		{"back over midnight the next day stays open", windows{window(t, stJohns, "00:00", "02:00", time.Sunday)}, "2010-11-06T23:30:00-03:30", "2010-11-07T02:00:00-03:30"},
		{"back over midnight a day stays ended", windows{window(t, stJohns, "22:00", "00:00", time.Saturday)}, "2010-11-06T23:30:00-03:30", closed},
		{"what starts on a skipped day opens after it", windows{window(t, apia, "22:00", "02:00", time.Friday)}, "2011-12-31T00:00:00+14:00", "2011-12-31T02:00:00+14:00"},
		{"what is all on a skipped day does not open", windows{window(t, apia, "10:00", "12:00", time.Friday)}, "2011-12-31T00:00:00+14:00", closed},
		{"a day that comes twice does not open twice", windows{window(t, kwajalein, "10:00", "12:00")}, "1969-09-30T11:00:00-12:00", closed},
		{"a day that comes twice belongs to it twice", windows{window(t, kwajalein, "10:00", "10:00", time.Tuesday)}, "1969-09-30T10:00:00+11:00", "1969-10-01T10:00:00-12:00"},

		{"windows that overlap are one", windows{window(t, utc, "10:00", "12:00"), window(t, utc, "11:00", "13:00")}, "2024-03-05T10:30:00Z", "2024-03-05T13:00:00Z"},
		{"windows that meet are one", windows{window(t, utc, "12:00", "13:00"), window(t, utc, "10:00", "12:00")}, "2024-03-05T10:30:00Z", "2024-03-05T13:00:00Z"},
		{"windows with a minute between them are two", windows{window(t, utc, "10:00", "12:00"), window(t, utc, "12:01", "13:00")}, "2024-03-05T10:30:00Z", "2024-03-05T12:00:00Z"},
		{"a window in another one does not shorten it", windows{window(t, utc, "08:00", "18:00"), window(t, utc, "10:00", "12:00")}, "2024-03-05T09:00:00Z", "2024-03-05T18:00:00Z"},
		{"one window after another until there is a gap", windows{window(t, utc, "12:00", "12:00", time.Monday, time.Tuesday, time.Thursday)}, "2024-03-04T13:00:00Z", "2024-03-06T12:00:00Z"},
		{"windows that meet on a skipped time are one", windows{window(t, berlin, "01:00", "02:30"), window(t, berlin, "02:30", "05:00")}, "2024-03-31T01:30:00+01:00", "2024-03-31T05:00:00+02:00"},
		{"windows that meet on a time twice are one", windows{window(t, berlin, "01:00", "02:30"), window(t, berlin, "02:30", "05:00")}, "2024-10-27T01:30:00+02:00", "2024-10-27T05:00:00+01:00"},
		{"windows that meet in two zones are one", windows{window(t, berlin, "10:00", "12:00"), window(t, utc, "11:00", "13:00")}, "2024-03-05T09:30:00Z", "2024-03-05T13:00:00Z"},

		{"the whole of every day has no end", windows{window(t, berlin, "02:30", "02:30")}, "2024-03-05T12:00:00Z", noEnd},
		{"windows that fill the day have no end", windows{window(t, utc, "00:00", "09:00"), window(t, utc, "09:00", "00:00")}, "2024-03-05T12:00:00Z", noEnd},
		{"an end in five weeks and more is none", windows{window(t, utc, "12:00", "00:00"), window(t, berlin, "01:00", "13:00")}, "2024-02-25T11:00:00Z", noEnd},
		{"an end in less than five weeks is one", windows{window(t, utc, "12:00", "00:00"), window(t, berlin, "01:00", "13:00")}, "2024-02-25T11:00:01Z", "2024-03-31T11:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			until, open := reboot.OpenUntil(tt.windows, moment(t, tt.at))
			require.Equal(t, tt.until != closed, open)

			if tt.until == closed || tt.until == noEnd {
				require.Zero(t, until)
			} else {
				require.Equal(t, moment(t, tt.until).UTC(), until.UTC())
			}
		})
	}
}

func TestWhenWindowsOpenForLongEnough(t *testing.T) {
	t.Parallel()

	const never = ""

	type windows []reboot.Window

	for _, tt := range []struct {
		name    string
		windows windows
		from    string
		need    time.Duration
		at      string
	}{
		{"without windows it is now", nil, "2024-03-05T12:00:00Z", time.Hour, "2024-03-05T12:00:00Z"},
		{"an open window is now", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T12:00:01Z", time.Hour, "2024-03-05T12:00:01Z"},
		{"just enough is left", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T12:00:00Z", 2 * time.Hour, "2024-03-05T12:00:00Z"},
		{"not enough is left, so it is the next time", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T12:00:01Z", 2 * time.Hour, "2024-03-06T10:00:00Z"},
		{"a closed window is when it opens", windows{window(t, utc, "22:00", "02:00", time.Friday)}, "2024-03-05T12:00:00Z", 4 * time.Hour, "2024-03-08T22:00:00Z"},
		{"a window that is too short is passed over", windows{window(t, utc, "13:00", "14:00"), window(t, utc, "02:00", "04:00", time.Sunday)}, "2024-03-05T12:00:00Z", 2 * time.Hour, "2024-03-10T02:00:00Z"},
		{"no window is ever long enough", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T12:00:00Z", 4*time.Hour + 1, never},
		{"days that do not exist never come", windows{window(t, utc, "10:00", "14:00", 7)}, "2024-03-05T12:00:00Z", 0, never},
		{"windows that meet are long enough together", windows{window(t, utc, "10:00", "12:00"), window(t, utc, "12:00", "14:00")}, "2024-03-05T09:00:00Z", 4 * time.Hour, "2024-03-05T10:00:00Z"},
		{"windows that overlap do not count twice", windows{window(t, utc, "10:00", "12:00"), window(t, utc, "11:00", "13:00")}, "2024-03-05T09:00:00Z", 4 * time.Hour, never},
		{"no need is any time that is open", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T13:59:59Z", 0, "2024-03-05T13:59:59Z"},
		{"no need is no time that is closed", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T14:00:00Z", 0, "2024-03-06T10:00:00Z"},
		{"no need is not met by what is skipped whole", windows{window(t, berlin, "02:10", "02:50", time.Sunday)}, "2024-03-31T00:00:00Z", 0, "2024-04-07T00:10:00Z"},
		{"a need below zero is none", windows{window(t, utc, "10:00", "14:00")}, "2024-03-05T14:00:00Z", -time.Hour, "2024-03-06T10:00:00Z"},
		{"a window without end is long enough for weeks", windows{window(t, berlin, "08:00", "08:00")}, "2024-03-05T12:00:00Z", 3000 * time.Hour, "2024-03-05T12:00:00Z"},

		{"a clock change makes a window too short once", windows{window(t, berlin, "01:00", "05:00", time.Sunday)}, "2024-03-30T12:00:00Z", 4 * time.Hour, "2024-04-06T23:00:00Z"},
		{"two changes in five weeks hide no window", windows{window(t, "Africa/Casablanca", "02:00", "03:00", time.Sunday)}, "2019-06-03T00:00:00Z", time.Hour, "2019-06-16T01:00:00Z"},
		{"long enough only by a clock change, and near", windows{window(t, berlin, "01:00", "05:00", time.Sunday)}, "2024-09-21T23:00:00Z", 5 * time.Hour, "2024-10-26T23:00:00Z"},
		{"long enough only by a clock change, and far", windows{window(t, berlin, "01:00", "05:00", time.Sunday)}, "2024-09-21T22:59:59Z", 5 * time.Hour, never},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			at, ok := reboot.NextOpening(tt.windows, moment(t, tt.from), tt.need)
			require.Equal(t, tt.at != never, ok)

			if ok {
				require.Equal(t, moment(t, tt.at).UTC(), at.UTC())
			} else {
				require.Zero(t, at)
			}
		})
	}
}

// A plan has times, and those of two plans are compared.
func TestTimesAreInTheLocationOfTheGivenOne(t *testing.T) {
	t.Parallel()

	windows := []reboot.Window{window(t, berlin, "10:00", "12:00")}

	until, open := reboot.OpenUntil(windows, time.Date(2024, 3, 5, 10, 0, 0, 0, time.UTC))
	require.True(t, open)
	require.Equal(t, time.Date(2024, 3, 5, 11, 0, 0, 0, time.UTC), until)

	zone := location(t, lordHowe)
	at, ok := reboot.NextOpening(windows, time.Date(2024, 3, 5, 10, 0, 0, 0, zone), time.Hour)
	require.True(t, ok)
	require.Equal(t, time.Date(2024, 3, 5, 20, 0, 0, 0, zone), at)
}

func TestTimesOfDayThatAreRefused(t *testing.T) {
	t.Parallel()

	for _, s := range []string{"", "22", "2:00", "24:00", "22:60", "22:0", "022:00", "22:00:00", " 22:00", "22:00 ", "22.00", "-1:00", "+1:00", "10pm", "２２:00"} {
		_, err := reboot.ParseTimeOfDay(s)
		require.Error(t, err, s)
		require.ErrorContains(t, err, s)
	}
}

// FuzzParseTimeOfDay compares with the pattern that the API server checks.
func FuzzParseTimeOfDay(f *testing.F) {
	for _, s := range []string{"00:00", "09:30", "22:00", "23:59", "24:00", "2:00", "22:00:00", "aa:bb"} {
		f.Add(s)
	}

	pattern := regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := reboot.ParseTimeOfDay(s)
		require.Equal(t, pattern.MatchString(s), err == nil)

		if err == nil {
			require.Equal(t, s, parsed.String())
			require.GreaterOrEqual(t, int(parsed), 0)
			require.Less(t, int(parsed), 24*60)
		}
	})
}

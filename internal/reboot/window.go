// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"fmt"
	"slices"
	"time"
)

// lookahead is how far from now windows are looked at. They come again every week, so five weeks have each of them five
// times, and one that is long enough as a rule is found there even if a clock change shortens it once or twice.
const lookahead = 5 * 7 * 24 * time.Hour

// maxOffset is more than any zone is ahead of UTC (RFC 8536, section 3.2: less than 26 hours).
const maxOffset = 26 * time.Hour

// Window is a stretch of time, as a wall clock shows it, that comes again every week. The zero value is the whole of every
// day in UTC.
//
// It belongs to the day on which it starts: with Friday, 22:00 and 02:00 it ends on Saturday. It opens when the clock first
// shows Start of that day or later, and closes when the clock first shows End or later. So if the clock is set forward over
// one of them, that is the moment of the change. If the clock is set back, the first time counts for both: a window does not
// open again for an hour that comes twice, but lasts longer if it ends after that hour. With one rule for both, a window
// that starts where another one ends always meets it.
type Window struct {
	// Days are those on which the window starts; none means every day.
	Days []time.Weekday
	// Start and End are when it opens and closes. It is open at Start, and closed at End. If End is not after Start it is on
	// the next day: with the same time twice the window lasts for a whole day, which clock changes make shorter or longer.
	Start, End TimeOfDay
	// Location is the time zone of Start and End; nil means UTC.
	Location *time.Location
}

// TimeOfDay is what a wall clock shows, in minutes since midnight, from 0 to 1439.
type TimeOfDay int

// ParseTimeOfDay reads a time of day from 00:00 to 23:59, always with two digits for the hour and two for the minute. The
// error says what it got.
func ParseTimeOfDay(s string) (TimeOfDay, error) {
	const layout = "15:04"

	// Package time would take an hour with one digit as well.
	parsed, err := time.Parse(layout, s)
	if err != nil || len(s) != len(layout) {
		return 0, fmt.Errorf("%q is not a time of day from 00:00 to 23:59", s)
	}

	return TimeOfDay(parsed.Hour()*60 + parsed.Minute()), nil
}

// String returns the form that ParseTimeOfDay reads.
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// OpenUntil tells whether one of the windows is open at t, and until when there is always one open without a break: windows
// that overlap or meet count as one. The time is in the location of t. It is zero if the windows are closed, and if they
// stay open for at least five weeks, as they do if there are no windows at all.
//
// Whether enough is left of the window for something is what NextOpening tells, with t as its result.
func OpenUntil(windows []Window, t time.Time) (until time.Time, open bool) {
	if len(windows) == 0 {
		return time.Time{}, true
	}

	until = t

	for openings := openingsSince(windows, t); len(openings) > 0; {
		start, end := openings.next()
		if start.After(until) {
			break
		}

		if end.After(until) {
			until = end
		}

		if until.Sub(t) >= lookahead {
			return time.Time{}, true
		}
	}

	if !until.After(t) {
		return time.Time{}, false
	}

	return until.In(t.Location()), true
}

// NextOpening returns the earliest time, at or after t, from which the windows are open for at least need without a break,
// and at all if need is 0. That is t itself if they are now, and if there are no windows. The time is in the location of t.
//
// It returns false if there is no such time in the next five weeks. Then none of the windows is long enough, or only where
// a clock change makes one longer.
func NextOpening(windows []Window, t time.Time, need time.Duration) (at time.Time, ok bool) {
	if len(windows) == 0 {
		return t, true
	}

	at = t
	until := t

	for openings := openingsSince(windows, t); len(openings) > 0; {
		start, end := openings.next()

		if start.After(until) {
			at, until = start, start
		}

		if at.Sub(t) > lookahead {
			break
		}

		if end.After(until) {
			until = end
		}

		if until.After(at) && until.Sub(at) >= need {
			return at.In(t.Location()), true
		}
	}

	return time.Time{}, false
}

// openings are the times at which windows will open, for each window the next one. It has the windows that open at all.
type openings []*opening

// opening is one time that a window is open.
type opening struct {
	window Window
	day    time.Time // 00:00 of the day on which it starts, as a wall clock shows it
	start  time.Time
}

// openingsSince returns the openings from so early on that none is left out that is open at t.
func openingsSince(windows []Window, t time.Time) openings {
	all := make(openings, 0, len(windows))

	for _, window := range windows {
		if window.Location == nil {
			window.Location = time.UTC
		}

		// What is open at t started at the earliest on the day before. That it started on the day after is possible too: the
		// clock may have been set back over midnight.
		year, month, day := t.In(window.Location).Date()
		next := &opening{window: window, day: time.Date(year, month, day-2, 0, 0, 0, 0, time.UTC)}

		if next.advance() { // to the day before, or a later one
			all = append(all, next)
		}
	}

	return all
}

// next takes the opening with the earliest start, and returns when it starts and ends. The end is not after the start if a
// clock change skips all of it. There must be an opening; after one there is always another.
func (all openings) next() (start, end time.Time) {
	next := slices.MinFunc(all, func(a, b *opening) int { return a.start.Compare(b.start) })
	start, end = next.start, next.end()

	next.advance()

	return start, end
}

// advance moves on to the next day on which the window starts. It returns false if there is no such day.
func (o *opening) advance() bool {
	for range 7 {
		o.day = o.day.AddDate(0, 0, 1)

		if len(o.window.Days) == 0 || slices.Contains(o.window.Days, o.day.Weekday()) {
			o.start = firstShown(o.window.Start.on(o.day), o.window.Location)

			return true
		}
	}

	return false
}

// end returns when the window closes.
func (o *opening) end() time.Time {
	day := o.day
	if o.window.End <= o.window.Start {
		day = day.AddDate(0, 0, 1)
	}

	return firstShown(o.window.End.on(day), o.window.Location)
}

// on returns what a wall clock shows at this time of a day.
func (t TimeOfDay) on(day time.Time) time.Time { return day.Add(time.Duration(t) * time.Minute) }

// firstShown returns the first moment at which the clocks of a zone show wall or later. What a wall clock shows is written
// as the time at which a clock in UTC shows it.
//
// time.Date has no such rule: of two moments, and for a time that is skipped, it chooses freely.
func firstShown(wall time.Time, zone *time.Location) time.Time {
	// From one change of the clock to the next, beginning where no zone can have come to wall.
	for from := wall.Add(-maxOffset); ; {
		_, change := from.In(zone).ZoneBounds()
		_, offset := from.In(zone).Zone()
		shown := wall.Add(-time.Duration(offset) * time.Second)

		switch {
		case !change.IsZero() && !shown.Before(change):
			from = change
		case shown.Before(from):
			return from // the change skips it
		default:
			return shown
		}
	}
}

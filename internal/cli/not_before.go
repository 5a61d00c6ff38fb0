// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// clock is the form of a time of day.
const clock = "15:04"

// ParseNotBefore reads the earliest time of a reboot: RFC 3339 (2026-03-01T22:00:00Z), a time of today in the zone of now
// (22:00), or a duration from now (+2h). It has to be in the future. The result is in whole seconds, never before what was
// written. The error goes on from the text.
func ParseNotBefore(text string, now time.Time) (time.Time, error) {
	if wait, ok := strings.CutPrefix(text, "+"); ok {
		duration, err := time.ParseDuration(wait)

		switch {
		case err != nil:
			return time.Time{}, errors.New("is no duration such as +90m or +2h")
		case duration <= 0 || strings.HasPrefix(wait, "+"):
			return time.Time{}, errors.New("is not in the future")
		default:
			return roundUp(now.Add(duration)), nil
		}
	}

	if at, err := time.Parse(time.RFC3339, text); err == nil {
		if !at.After(now) {
			return time.Time{}, fmt.Errorf("has passed: it is %s", now.Format(time.RFC3339))
		}

		return roundUp(at), nil
	}

	ofDay, err := time.Parse(clock, text)
	if err != nil {
		return time.Time{}, errors.New("is no time: write 22:00, +2h or 2026-03-01T22:00:00Z")
	}

	at := on(now, ofDay)

	switch {
	case at.Format(clock) != ofDay.Format(clock):
		return time.Time{}, errors.New("does not exist today: the clock is changed then")
	case !at.After(now):
		return time.Time{}, fmt.Errorf("has passed: it is %s; for tomorrow write %s", now.Format(clock), on(now.AddDate(0, 0, 1), ofDay).Format(time.RFC3339))
	default:
		return at, nil
	}
}

// on is a time of day on the day of a moment.
func on(day, ofDay time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), ofDay.Hour(), ofDay.Minute(), 0, 0, day.Location())
}

func roundUp(at time.Time) time.Time {
	if whole := at.Truncate(time.Second); whole.Before(at) {
		return whole.Add(time.Second)
	}

	return at
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/cli"
)

// FuzzParseNotBefore reads what a person types, on the day on which the clock goes back.
func FuzzParseNotBefore(f *testing.F) {
	for _, text := range []string{"22:00", "02:30", "+2h", "++2h", "+9999999h", "2026-03-01T22:00:00.5Z", "9999-12-31T23:59:59.9Z", "+-1s", ""} {
		f.Add(text)
	}

	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Skip("no time zones here")
	}

	now := time.Date(2026, time.October, 25, 1, 30, 0, 5, berlin)

	f.Fuzz(func(t *testing.T, text string) {
		at, err := cli.ParseNotBefore(text, now)
		if err != nil {
			assert.True(t, at.IsZero())

			return
		}

		assert.True(t, at.After(now))
		assert.True(t, at.Equal(at.Truncate(time.Second)), "whole seconds")
	})
}

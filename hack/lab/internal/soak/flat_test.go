// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
)

// began is when the first life of every test begins.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// life has a sample of every measure each five seconds, n in all; value is of the
// number of the sample.
func life(began time.Time, n int, value func(i int) float64) soak.Life {
	made := soak.Life{Began: began}

	for i := range n {
		made.Samples = append(made.Samples, soak.Sample{
			At: began.Add(time.Duration(i) * 5 * time.Second),
			Usage: map[soak.Measure]float64{
				soak.Goroutines: value(i), soak.Handles: value(i), soak.Resident: value(i) * (1 << 20),
			},
		})
	}

	return made
}

// lives begin each minute and have five samples.
func lives(n int, value func(life, i int) float64) []soak.Life {
	made := make([]soak.Life, n)

	for number := range made {
		made[number] = life(began.Add(time.Duration(number)*time.Minute), 5, func(i int) float64 { return value(number, i) })
	}

	return made
}

func TestFlatIsWhatDoesNotGrow(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		lives  []soak.Life
		judged bool
		flat   bool
	}{
		{
			name:  "the same all the time",
			lives: []soak.Life{life(began, 100, func(int) float64 { return 100 })}, judged: true, flat: true,
		},
		{
			name: "up and down",
			lives: []soak.Life{life(began, 100, func(i int) float64 {
				return 100 + float64(i%10)*5
			})}, judged: true, flat: true,
		},
		{
			name: "set up in the first fifth",
			lives: []soak.Life{life(began, 100, func(i int) float64 {
				return float64(min(i, 19) * 10)
			})}, judged: true, flat: true,
		},
		{
			name: "a peak in the middle",
			lives: []soak.Life{life(began, 100, func(i int) float64 {
				if i == 50 {
					return 1000
				}

				return 100
			})}, judged: true, flat: true,
		},
		{
			name: "falls",
			lives: []soak.Life{life(began, 100, func(i int) float64 {
				return float64(1000 - i)
			})}, judged: true, flat: true,
		},
		{
			name: "one more with every sample",
			lives: []soak.Life{life(began, 100, func(i int) float64 {
				return 100 + 2*float64(i)
			})}, judged: true,
		},
		{
			name: "a step that stays",
			lives: []soak.Life{life(began, 100, func(i int) float64 {
				if i > 70 {
					return 300
				}

				return 100
			})}, judged: true,
		},
		{
			name: "grows, but is gone before it can be told",
			lives: []soak.Life{life(began, 10, func(i int) float64 {
				return float64(100 * i)
			})},
		},
		{
			name: "every life the same, which grows from its start",
			lives: lives(10, func(_, i int) float64 {
				return float64(100 * i)
			}), judged: true, flat: true,
		},
		{
			name: "every life begins with more than the last",
			lives: lives(10, func(life, i int) float64 {
				return float64(100 + 30*life + i)
			}), judged: true,
		},
		{
			name:  "few lives",
			lives: lives(4, func(life, _ int) float64 { return float64(1000 * life) }),
		},
		{
			name: "many lives that were too short to be compared",
			lives: func() []soak.Life {
				made := lives(10, func(life, _ int) float64 { return float64(1000 * life) })
				for i := range made {
					made[i].Samples = made[i].Samples[:2]
				}

				return made
			}(),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			trends := soak.Trends(map[string][]soak.Life{"process": tc.lives})
			assert.Equal(t, tc.judged, len(trends) > 0)

			for _, trend := range trends {
				assert.Equal(t, tc.flat, trend.Flat(), trend)
			}
		})
	}
}

func TestTrendSaysWhatHasGrown(t *testing.T) {
	t.Parallel()

	trends := soak.Trends(map[string][]soak.Life{"agent-a": {life(began, 100, func(i int) float64 { return float64(10 * i) })}})

	assert.Len(t, trends, 3)
	assert.Equal(t, "agent-a: goroutines over life 1: 390, then 990 (up to 454 is flat)", trends[0].String())
	assert.Equal(t, "agent-a: resident memory over life 1: 390.0 MiB, then 990.0 MiB (up to 449.0 MiB is flat)", trends[2].String())
}

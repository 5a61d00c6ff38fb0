// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Measure is what a process uses.
type Measure string

// The measures. Resident is memory in bytes.
const (
	Goroutines Measure = "goroutines"
	Handles    Measure = "file handles"
	Resident   Measure = "resident memory"
)

// measures are all of them, in the order in which they are shown.
var measures = []Measure{Goroutines, Handles, Resident}

// allowance is how much more is still flat: a share of what there was, and so
// much besides.
type allowance struct{ share, besides float64 }

// allowances are what is noise. A garbage collector gives memory back when it
// likes, and a client that connects again has two connections for a moment. In
// soaks of ten minutes on two busy processors the noise was 9 goroutines, 3
// handles and 9 MiB.
var allowances = map[Measure]allowance{
	Goroutines: {0.1, 25},
	Handles:    {0.1, 10},
	Resident:   {0.1, 20 << 20},
}

const (
	// longLife is how long a process has to live for its own life to be judged.
	longLife = time.Minute
	// minSamples is how many values a fifth of which can be taken.
	minSamples = 5
	// sameAge is the age at which the lives of a process are compared, and ageWindow
	// by how much a sample may be later.
	sameAge   = 15 * time.Second
	ageWindow = 10 * time.Second
)

// Life is one life of a process: from its start until it has ended, or has become
// something else.
type Life struct {
	Began   time.Time
	Samples []Sample
}

// Sample is what a process uses at a moment.
type Sample struct {
	At    time.Time
	Usage map[Measure]float64
}

// Trend is what became of the usage of a process.
type Trend struct {
	Process string  `json:"process"`
	Measure Measure `json:"measure"`
	// Over is what was compared: parts of one life, or lives.
	Over string `json:"over"`
	// Before and After are the highest values of the second and of the last fifth,
	// Limit is what After may be.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	Limit  float64 `json:"limit"`
}

// Flat says whether the usage has not grown.
func (trend Trend) Flat() bool { return trend.After <= trend.Limit }

// String words the trend.
func (trend Trend) String() string {
	return fmt.Sprintf("%s: %s over %s: %s, then %s (up to %s is flat)", trend.Process, trend.Measure, trend.Over,
		amount(trend.Measure, trend.Before), amount(trend.Measure, trend.After), amount(trend.Measure, trend.Limit))
}

// amount writes a value in the unit that people read.
func amount(measure Measure, value float64) string {
	if measure == Resident {
		return fmt.Sprintf("%.1f MiB", value/(1<<20))
	}

	return fmt.Sprintf("%.0f", value)
}

// Trends judges the lives of the processes, in the order of their names. Lives
// that were too short, and processes that had too few, have none.
func Trends(processes map[string][]Life) []Trend {
	var trends []Trend

	for _, name := range slices.Sorted(maps.Keys(processes)) {
		lives := slices.SortedFunc(slices.Values(processes[name]), func(a, b Life) int { return a.Began.Compare(b.Began) })

		for _, measure := range measures {
			for i, life := range lives {
				if life.length() < longLife {
					continue
				}

				if trend, ok := compare(measure, life.values(measure)); ok {
					trend.Process, trend.Over = name, fmt.Sprintf("life %d", i+1)
					trends = append(trends, trend)
				}
			}

			if trend, ok := compare(measure, atSameAge(measure, lives)); ok {
				trend.Process, trend.Over = name, fmt.Sprintf("%d lives", len(lives))
				trends = append(trends, trend)
			}
		}
	}

	return trends
}

// length is from the start to the last sample.
func (life Life) length() time.Duration {
	if len(life.Samples) == 0 {
		return 0
	}

	return life.Samples[len(life.Samples)-1].At.Sub(life.Began)
}

func (life Life) values(measure Measure) []float64 {
	values := make([]float64, len(life.Samples))

	for i, sample := range life.Samples {
		values[i] = sample.Usage[measure]
	}

	return values
}

// atSameAge returns a value of each life that has come to the age.
func atSameAge(measure Measure, lives []Life) []float64 {
	var values []float64

	for _, life := range lives {
		for _, sample := range life.Samples {
			if age := sample.At.Sub(life.Began); age >= sameAge && age <= sameAge+ageWindow {
				values = append(values, sample.Usage[measure])

				break
			}
		}
	}

	return values
}

// compare compares the last fifth of the values with the second one. The first
// is when everything is being set up.
func compare(measure Measure, values []float64) (Trend, bool) {
	if len(values) < minSamples {
		return Trend{}, false
	}

	fifth := len(values) / 5
	allowed := allowances[measure]
	trend := Trend{
		Measure: measure,
		Before:  slices.Max(values[fifth : 2*fifth]),
		After:   slices.Max(values[len(values)-fifth:]),
	}
	trend.Limit = trend.Before*(1+allowed.share) + allowed.besides

	return trend, true
}

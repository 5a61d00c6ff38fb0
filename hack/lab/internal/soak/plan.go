// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Event is something that happens in a soak.
type Event struct {
	// At is when it begins, since the beginning of the soak.
	At time.Duration
	// Lasts is for how long; zero for what is over at once, or when it has worked.
	Lasts time.Duration
	Kind  Kind
	// Target is what it happens to: a node, a replica of the coordinator, a component
	// of the control plane, a DaemonSet, or the application.
	Target string

	disturbs scope
}

// Ends is when it is over by the plan.
func (event Event) Ends() time.Duration { return event.At + event.Lasts }

// String words the event, without its time.
func (event Event) String() string {
	if event.Lasts == 0 {
		return fmt.Sprintf("%s: %s", event.Target, event.Kind)
	}

	return fmt.Sprintf("%s: %s for %.1f s", event.Target, event.Kind, event.Lasts.Seconds())
}

// MarshalJSON writes the times in seconds.
func (event Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		At     float64 `json:"atSeconds"`
		Lasts  float64 `json:"lastsSeconds,omitempty"`
		Kind   Kind    `json:"kind"`
		Target string  `json:"target"`
	}{event.At.Seconds(), event.Lasts.Seconds(), event.Kind, event.Target})
}

const (
	// firstEvent leaves the nodes a moment, shortestGap and longestGap bound the time
	// from one event to the next.
	firstEvent  = 2 * time.Second
	shortestGap = time.Second
	longestGap  = 5 * time.Second
	// minQuiet and maxQuiet bound the last part of a soak, which is a fifth of it: in
	// it nothing happens any more.
	minQuiet = 25 * time.Second
	maxQuiet = 3 * time.Minute
)

// MinTime is the shortest soak: in a shorter one hardly anything could happen
// before its quiet part.
const MinTime = minQuiet + 20*time.Second

// Quiet is how long the last part of a soak is, in which nothing happens.
func Quiet(duration time.Duration) time.Duration { return min(max(duration/5, minQuiet), maxQuiet) }

// Plan returns the events of a soak, by the time at which they begin. It is a
// function of its arguments: the same seed and duration are the same soak.
//
// Kinds are dealt like cards, so that each comes before one comes again, and only
// to a target that is free: nothing happens to a node while it reboots by the
// plan. Different targets may be disturbed at a time. Every event is over before
// the quiet part.
func Plan(seed uint64, duration time.Duration) []Event {
	var (
		random = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it is to be the same each time
		active = duration - Quiet(duration)
		free   = map[string]time.Duration{}
		deck   []rule
		events []Event
	)

	for at := firstEvent; at < active; at += between(random, shortestGap, longestGap) {
		if len(deck) == 0 {
			deck = rules()
			random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}

		for i, rule := range deck {
			event, ok := deal(random, rule, at, active, free)
			if !ok {
				continue
			}

			deck = slices.Delete(deck, i, i+1)
			free[event.resource()] = event.Ends() + rule.pause
			events = append(events, event)

			break
		}
	}

	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })

	return events
}

// deal makes an event of a kind, unless there is no target for it or no time.
func deal(random *rand.Rand, rule rule, at, active time.Duration, free map[string]time.Duration) (Event, bool) {
	targets := slices.DeleteFunc(slices.Clone(rule.targets), func(target string) bool {
		return free[Event{Target: target, disturbs: rule.disturbs}.resource()] > at
	})

	longest := min(rule.longest, active-at)

	if len(targets) == 0 || longest < rule.shortest {
		return Event{}, false
	}

	return Event{
		At:       at.Truncate(time.Millisecond),
		Lasts:    between(random, rule.shortest, longest).Truncate(time.Millisecond),
		Kind:     rule.kind,
		Target:   targets[random.IntN(len(targets))],
		disturbs: rule.disturbs,
	}, true
}

// resource is what the event has to itself. Of what everything needs, one thing
// is away at a time.
func (event Event) resource() string {
	if event.disturbs == everything {
		return "everything"
	}

	return event.Target
}

// between returns a random duration, the bounds included.
func between(random *rand.Rand, shortest, longest time.Duration) time.Duration {
	return shortest + time.Duration(random.Int64N(int64(longest-shortest)+1))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
)

// seeds is for how many seeds a promise of the plan is looked at.
const seeds = 200

func TestSameSeedIsTheSamePlan(t *testing.T) {
	t.Parallel()

	for seed := range uint64(seeds) {
		assert.Equal(t, soak.Plan(seed, 10*time.Minute), soak.Plan(seed, 10*time.Minute))
	}

	assert.NotEqual(t, soak.Plan(1, 10*time.Minute), soak.Plan(2, 10*time.Minute))
}

func TestEveryKindOccursInTenMinutes(t *testing.T) {
	t.Parallel()

	for seed := range uint64(seeds) {
		seen := map[soak.Kind]bool{}
		components := map[string]bool{}

		for _, event := range soak.Plan(seed, 10*time.Minute) {
			seen[event.Kind] = true

			if event.Kind == soak.ComponentStopped || event.Kind == soak.ComponentKilled {
				components[event.Target] = true
			}
		}

		for _, kind := range soak.Kinds() {
			assert.True(t, seen[kind], "seed %d has no %q", seed, kind)
		}

		assert.GreaterOrEqual(t, len(components), 3, "seed %d: parts of the control plane", seed)
	}
}

func TestEveryEventIsOverBeforeTheQuietPart(t *testing.T) {
	t.Parallel()

	for _, duration := range []time.Duration{soak.MinTime, 75 * time.Second, 10 * time.Minute, time.Hour} {
		for seed := range uint64(seeds) {
			events := soak.Plan(seed, duration)
			require.NotEmpty(t, events)
			assert.True(t, slices.IsSortedFunc(events, func(a, b soak.Event) int { return int(a.At - b.At) }))

			for _, event := range events {
				assert.Positive(t, event.At)
				assert.LessOrEqual(t, event.Ends(), duration-soak.Quiet(duration), "seed %d: %s", seed, event)
			}
		}
	}
}

func TestNothingHappensTwiceToATargetAtATime(t *testing.T) {
	t.Parallel()

	for seed := range uint64(seeds) {
		until := map[string]time.Duration{}

		for _, event := range soak.Plan(seed, 10*time.Minute) {
			target := event.Target
			if target == "etcd" {
				target = "kube-apiserver" // without it that is no better
			}

			assert.GreaterOrEqual(t, event.At, until[target], "seed %d: %s", seed, event)
			until[target] = event.Ends()
		}
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// TestWhateverHappensTheRulesHold is the model check of coordinator.md §5. A simulated API server, one to three
// coordinators with caches that lag, machines, people and time do in any order whatever they can do, and after every step
// the rules must hold. Then the faults stop, and everything must come to a good end.
//
// A failure prints its story, made as short as possible. More of them are tried with -rapid.checks and -rapid.steps.
func TestWhateverHappensTheRulesHold(t *testing.T) {
	t.Parallel()

	for coordinators := 1; coordinators <= 3; coordinators++ {
		for _, nodes := range [][]string{{"w1"}, workers, controlPlanes, slices.Concat(controlPlanes, workers)} {
			t.Run(fmt.Sprintf("with %d coordinators and %v", coordinators, nodes), func(t *testing.T) {
				t.Parallel()

				rapid.Check(t, func(t *rapid.T) { newWorld(nothing, coordinators, nodes...).tellStory(t) })
			})
		}
	}
}

// tellStory begins with nodes that are waiting. A story that is made shorter has fewer of them.
func (w *world) tellStory(t *rapid.T) {
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	_, _ = change(w.server, w.budgets, budgetName, 0, func(b *reboot.Budget) { b.MaxUnavailable = limit })
	w.tell("the RebootBudget allows %d at a time", limit)

	for _, name := range w.names() {
		if rapid.Bool().Draw(t, "asks for a reboot") {
			w.tell("there is a NodeReboot %s", name)

			_ = w.createReboot(name, reboot.Reboot{})
		}
	}

	for range 2 {
		t.Repeat(w.actions())
	}

	w.finish(t)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// TestTheModelNoticesWhenARuleIsLeftOut tells for each rule the shortest story in which it matters. The stories come from
// the model: it finds each of them among some thousands. They also say what the rules are for.
func TestTheModelNoticesWhenARuleIsLeftOut(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		left    rule
		nodes   []string
		story   func(t *testing.T, w *world, one, two *coordinator)
		problem string
	}{
		{
			versionOfBudget,
			[]string{"c1", "w1"},
			func(t *testing.T, w *world, one, two *coordinator) {
				t.Helper()
				w.asks(t, "w1")
				two.observeAll()
				w.asks(t, "c1")
				one.observeAll()
				one.begin()
				two.begin()
				one.sendAll()
				two.sendAll()
				one.pass()
				one.pass()
			},
			"c1 is in the middle of a reboot and holds no slot",
		},
		{
			versionOfNode,
			[]string{"w1"},
			func(t *testing.T, w *world, one, _ *coordinator) {
				t.Helper()
				w.asks(t, "w1")
				one.goTo(t, "w1", reboot.PhaseCordoned)
				one.begin()
				w.setUnschedulable("w1", true)
				one.sendAll()
			},
			"coordinator 1 cordoned w1 over a foreign cordon",
		},
		{
			liveReadOfDroppedHolder,
			[]string{"c1", "w1"},
			func(t *testing.T, w *world, one, two *coordinator) {
				t.Helper()
				w.asks(t, "c1")
				two.observeAll()
				w.asks(t, "w1")
				learn(one.known.reboots, w.reboots, "w1")
				one.pass()
				learn(two.known.budgets, w.budgets, budgetName)
				two.pass()
				one.pass()
				one.pass()
			},
			"w1 is in the middle of a reboot and holds no slot",
		},
		{
			freshFactsForSlots,
			[]string{"c1", "w1"},
			func(t *testing.T, w *world, one, two *coordinator) {
				t.Helper()
				w.asks(t, "c1")
				two.observeAll()
				w.asks(t, "w1")
				learn(one.known.reboots, w.reboots, "w1")
				one.pass()
				learn(two.known.budgets, w.budgets, budgetName)
				two.pass()
			},
			"coordinator 2 gave c1 a slot, and now [c1 w1] hold one",
		},
		{
			liveReadBeforeNode,
			[]string{"w1"},
			func(t *testing.T, w *world, one, two *coordinator) {
				t.Helper()
				w.asks(t, "w1")
				one.goTo(t, "w1", reboot.PhaseCordoned)
				w.pause(true)

				for range 4 {
					two.observeAll()
					two.pass()
				}

				learn(one.known.nodes, w.nodes, "w1")
				one.pass()
			},
			"w1 is in the middle of a reboot and holds no slot",
		},
		{
			liveReadOfStray,
			[]string{"w1"},
			func(t *testing.T, w *world, one, two *coordinator) {
				t.Helper()
				w.asks(t, "w1")
				one.goTo(t, "w1", reboot.PhaseCordoned)
				one.pass()
				learn(two.known.nodes, w.nodes, "w1")
				two.pass()
			},
			"coordinator 2 gave w1 back in the middle of attempt r2/1",
		},
		{
			bootOfTalosCall,
			[]string{"w2"},
			func(t *testing.T, w *world, one, two *coordinator) {
				t.Helper()
				w.asks(t, "w2")
				one.goTo(t, "w2", reboot.PhaseGranted)
				one.begin()

				for !strings.HasPrefix(one.requests[0].words, "ask the Talos API") {
					one.send(arrives)
				}

				w.pass(2 * time.Minute)
				w.beat()
				two.observeAll()
				two.pass()
				w.comeUp("w2")
				one.sendAll()
			},
			"w2 was rebooted in boot w2-boot1, for which there was no grant",
		},
	} {
		t.Run(string(tc.left), func(t *testing.T) {
			t.Parallel()

			for _, without := range []rule{tc.left, nothing} {
				w := newWorld(without, 2, tc.nodes...)
				tc.story(t, w, w.coordinators[0], w.coordinators[1])
				w.history.check(w.server)

				if without == nothing {
					assert.Empty(t, w.broken, "with all rules: %q", w.story)
				} else {
					assert.Contains(t, strings.Join(w.broken, "\n"), tc.problem, "%q", w.story)
				}
			}
		})
	}
}

func (w *world) asks(t *testing.T, name string) {
	t.Helper()

	require.NoError(t, w.createReboot(name, reboot.Reboot{}))
}

// goTo goes on until the step of a node is on record.
func (c *coordinator) goTo(t *testing.T, name string, phase reboot.Phase) {
	t.Helper()

	for range 20 {
		c.observeAll()

		if c.server.reboots[name].value.Status.Phase == phase {
			return
		}

		c.pass()

		for _, uid := range c.server.podsOn(name) {
			if !c.server.pods[uid].value.DeletedAt.IsZero() {
				delete(c.server.pods, uid)
			}
		}
	}

	require.Failf(t, "the step was not reached", "%q", c.server.story)
}

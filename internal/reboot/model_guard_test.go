// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// storiesToNotice is in how many stories the model has to notice that a rule is left out.
const storiesToNotice = 6000

func TestTheModelNoticesWhenARuleIsLeftOut(t *testing.T) {
	t.Parallel()

	for _, left := range []rule{
		versionOfBudget, versionOfNode, liveReadOfDroppedHolder, freshFactsForSlots, liveReadBeforeNode, liveReadOfStray, bootOfTalosCall,
	} {
		t.Run(string(left), func(t *testing.T) {
			t.Parallel()

			stories := rapid.Custom(func(t *rapid.T) []string {
				w := drawWorld(t, left, 2)
				w.goesOnRegardless = true

				w.tellStory(t)

				return append(w.broken, "")[:1]
			})

			for seed := range storiesToNotice {
				if problem := stories.Example(seed)[0]; problem != "" {
					t.Logf("story %d: %s", seed, problem)

					return
				}
			}

			assert.Fail(t, "nothing was noticed")
		})
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/reboot"
)

// TestAStatusIsBoundedAndPrintable has ten pods, which is what a decision names, each with the words of a server.
func TestAStatusIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()

	status := reboot.Status{Message: ctest.Hostile(), Results: []reboot.Result{{Message: ctest.Hostile()}}}

	for range 10 {
		status.BlockedBy = append(status.BlockedBy, reboot.BlockingPod{
			Message: ctest.Hostile(), Budgets: slices.Repeat([]string{"shop/web"}, 10000),
		})
	}

	object := apply.StatusObject(&status)
	text, err := json.Marshal(object)
	require.NoError(t, err)
	ctest.AssertPrintable(t, string(text), 32<<10)
	assert.Len(t, object.BlockedBy[0].Budgets, 10)
	assert.Len(t, status.BlockedBy[0].Budgets, 10000, "what was decided stays as it is")
}

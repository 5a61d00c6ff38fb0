// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent"
)

func TestAClockThatWasNotSetIsWaitedFor(t *testing.T) {
	t.Parallel()

	config := config(t)

	synctest.Test(t, func(t *testing.T) {
		_, err := agent.BootTime(config)
		require.ErrorContains(t, err, "waiting for the clock to be set: it says 2000-01-01T00:00:00Z")

		time.Sleep(time.Until(time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)))

		at, err := agent.BootTime(config)
		require.NoError(t, err)
		assert.Equal(t, time.Unix(1769000000, 0), at)
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
)

func TestTheBootTimeAgreesWithTheKernelsUptime(t *testing.T) {
	t.Parallel()

	at, err := recovery.BootTime()
	require.NoError(t, err)

	uptime, err := os.ReadFile("/proc/uptime")
	require.NoError(t, err)

	seconds, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	require.NoError(t, err)

	assert.InDelta(t, seconds, time.Since(at).Seconds(), 1)
}

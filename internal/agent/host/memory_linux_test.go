// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/host"
)

func TestAProgramRunsOnWithoutThePagesOfItsStart(t *testing.T) {
	before := residentFile(t)

	require.NoError(t, host.ReleaseMemory())

	after := residentFile(t)
	t.Logf("%d kB of files resident before, %d kB after", before, after)
	assert.Less(t, after, before*2/3)
	require.NoError(t, host.ReleaseMemory(), "it may be repeated")
}

// residentFile is how much of this process' files is resident, in kB.
func residentFile(t *testing.T) int {
	t.Helper()

	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)

	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)

	size, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)

	return size
}

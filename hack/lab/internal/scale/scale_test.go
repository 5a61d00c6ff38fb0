// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
)

// TestTenNodesComeBackAtOnce asserts what was done and not how long it took: others
// may use the machine.
func TestTenNodesComeBackAtOnce(t *testing.T) {
	t.Parallel()

	const nodes, pods = 10, 50

	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()

	var out bytes.Buffer

	folder := filepath.Join(t.TempDir(), "a", "b")
	err := scale.Run(ctx, scale.Options{Nodes: nodes, Only: true, Backoff: 3 * time.Second, Spread: time.Second, Rounds: 1, Out: folder}, &out)

	t.Cleanup(func() {
		if t.Failed() {
			t.Log(out.String())
		}
	})

	text, readErr := os.ReadFile(filepath.Join(folder, "scale.json"))
	require.NoError(t, readErr, "%v", err)

	var report scale.Report

	require.NoError(t, json.Unmarshal(text, &report))
	require.Len(t, report.Runs, 1)

	run := report.Runs[0]
	assert.Equal(t, []int{nodes, nodes, 0, 0, 0}, []int{run.Whole, run.FloorWhole, run.Throttled, run.Rejected, run.WrongDeletes})

	count := func(rows []scale.Traffic, client, verb string) int {
		i := slices.IndexFunc(rows, func(row scale.Traffic) bool { return row.Client == client && row.Verb == verb })
		if i < 0 {
			return 0
		}

		assert.Positive(t, rows[i].Bytes)

		return rows[i].Requests
	}

	// Every node has looked at its own pods, and each of them was deleted once.
	assert.Equal(t, nodes, count(run.Traffic, "rebound", "watch"))
	assert.Equal(t, pods, count(run.Traffic, "rebound", "delete"))
	assert.Equal(t, pods, count(run.FloorTraffic, "plain", "delete"))
	assert.Zero(t, count(run.FloorTraffic, "rebound", "get"))
	assert.Positive(t, run.HealthSeconds)
	assert.Positive(t, run.Server.CPUSeconds)
	assert.FileExists(t, filepath.Join(folder, "scale.html"))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
)

// metrics serves what a process says of itself; what is added comes before it.
func metrics(t *testing.T, started func() float64, added func() string) string {
	t.Helper()

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s# TYPE go_goroutines gauge\ngo_goroutines 7\n# TYPE process_open_fds gauge\nprocess_open_fds 5\n"+
			"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 3\n"+
			"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %f\n", added(), started())
	}))
	t.Cleanup(server.Close)

	return server.URL
}

func nothing() string { return "" }

func TestLivesEndWithTheProcess(t *testing.T) {
	t.Parallel()

	started := 0.

	lives, err := soak.MeasureTimes(t.Context(), "agent-a", metrics(t, func() float64 { return started }, nothing), func(i int) {
		started = 1000 + float64(i/3)
	}, 6)
	require.NoError(t, err)

	require.Len(t, lives["agent-a"], 2)
	assert.Equal(t, int64(1001), lives["agent-a"][1].Began.Unix(), "it began with the process and not with the first sample")
	assert.Len(t, lives["agent-a"][1].Samples, 3)
	assert.Equal(t, map[soak.Measure]float64{soak.Goroutines: 7, soak.Handles: 5, soak.Resident: 3}, lives["agent-a"][0].Samples[0].Usage)
}

func TestReplicaThatLeadsBeginsAnotherLife(t *testing.T) {
	t.Parallel()

	leads := 0
	added := func() string {
		return fmt.Sprintf("# TYPE leader_election_master_status gauge\nleader_election_master_status{name=\"rebound\"} %d\n", leads)
	}

	lives, err := soak.MeasureTimes(t.Context(), "coordinator-a", metrics(t, func() float64 { return 1000 }, added), func(i int) {
		leads = i / 3
	}, 6)
	require.NoError(t, err)

	require.Len(t, lives["coordinator-a, waiting"], 1)
	require.Len(t, lives["coordinator-a, leading"], 1)
	assert.Equal(t, int64(1000), lives["coordinator-a, waiting"][0].Began.Unix())
	assert.Equal(t, lives["coordinator-a, leading"][0].Samples[0].At, lives["coordinator-a, leading"][0].Began)

	verdict := soak.Judge(soak.Evidence{Ledger: soak.NewLedger(), Processes: lives, Expected: []string{"coordinator-a"}, Ended: true})
	assert.True(t, verdict.Passed(), verdict)
}

func TestProcessThatSaysNothingIsNotMeasured(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)

	lives, err := soak.MeasureTimes(t.Context(), "agent-a", server.URL, func(int) {}, 1)
	require.Error(t, err)
	assert.Empty(t, lives)
}

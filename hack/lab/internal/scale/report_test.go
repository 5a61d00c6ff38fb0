// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func good(nodes int) scale.Result {
	return scale.Result{
		Nodes: nodes, Rounds: 1, Whole: nodes, FloorWhole: nodes, FloorP50Seconds: 1, FloorP99Seconds: 2, FloorMaxSeconds: 2,
		P50Seconds: 1, P99Seconds: 4, MaxSeconds: 9, RequestsPerNode: 22, HealthSeconds: 0.5,
		Traffic: []scale.Traffic{{Client: "rebound", Verb: "delete", Requests: 5 * nodes, Bytes: 4096}},
	}
}

func TestCheckNamesTheGoalThatWasMissed(t *testing.T) {
	t.Parallel()

	require.NoError(t, (&scale.Report{Runs: []scale.Result{good(10), good(1000)}}).Check())

	for want, spoil := range map[string]func(*scale.Result){
		"1000 nodes: p99 is 4.10 s, and may be 4.00 s, which is 2 times the floor":                   func(r *scale.Result) { r.P99Seconds = 4.1 },
		"1000 nodes: 3 requests were told to come again later, 0 turned away; of the floor 0, and 0": func(r *scale.Result) { r.Throttled = 3 },
		"1000 nodes: 0 requests were told to come again later, 2 turned away; of the floor 0, and 0": func(r *scale.Result) { r.Rejected = 2 },
		"1000 nodes: rebound has deleted 1 pods that were never Failed":                              func(r *scale.Result) { r.WrongDeletes = 1 },
		"1000 nodes: an attempt of rebound health takes 10.5 s":                                      func(r *scale.Result) { r.HealthSeconds = 10.5 },
		"1000 nodes: of 1000 reboots 999 ended with a whole node, and 1000 without rebound":          func(r *scale.Result) { r.Whole-- },
		"1000 nodes: of 1000 reboots 1000 ended with a whole node, and 999 without rebound":          func(r *scale.Result) { r.FloorWhole-- },
		"the requests of a node grow with the number of nodes, to the power of 0.15":                 func(r *scale.Result) { r.RequestsPerNode = 44 },
	} {
		last := good(1000)
		spoil(&last)

		assert.EqualError(t, (&scale.Report{Runs: []scale.Result{good(10), last}}).Check(), want)
	}
}

func TestReportSaysWhatWasNotWithinTheLimit(t *testing.T) {
	t.Parallel()

	report := &scale.Report{
		KubernetesVersion: "v1.2.3", Processors: 2, Runs: []scale.Result{good(10), good(1000)},
		Peers: []scale.Peer{scale.NewPeer(4, time.Second, 2*time.Second, 3*time.Second)},
	}

	var table strings.Builder

	require.NoError(t, report.WriteTable(&table))
	assert.Regexp(t, `a sweep +4 +3 +2\.0 +not within 240 +not within 240 `, table.String())
	assert.Contains(t, table.String(), "p99: grows as the number of nodes to the power of 0.00\n")

	page, err := report.Page()
	require.NoError(t, err)
	assert.Contains(t, string(page), "not within 240")
	assert.Contains(t, string(page), "<svg")
	assert.NotContains(t, string(page), `"verdict failed"`)

	text, err := report.JSON()
	require.NoError(t, err)

	var plain struct {
		Runs  []map[string]any `json:"runs"`
		Peers []map[string]any `json:"peers"`
	}

	require.NoError(t, json.Unmarshal(text, &plain))
	require.Len(t, plain.Runs, 2)

	for _, key := range []string{"nodes", "floorP99Seconds", "p50Seconds", "p99Seconds", "maxSeconds", "requestsPerNode", "throttled"} {
		assert.Contains(t, plain.Runs[0], key)
	}

	assert.Nil(t, plain.Peers[0]["p99Seconds"])
	assert.InDelta(t, 2, plain.Peers[0]["p50Seconds"], 0)
}

func TestRequestsAreThoseOfWhoSentThem(t *testing.T) {
	t.Parallel()

	for want, record := range map[string]lab.AuditRecord{
		"rebound":               {User: "system:node:node-0001", UserAgent: "rebound"},
		"kubelet":               {User: "system:node:node-0001", UserAgent: "kubelet/v1"},
		"daemon-set-controller": {User: "system:serviceaccount:kube-system:daemon-set-controller", UserAgent: "kube-controller-manager/v1"},
		"kube-scheduler":        {User: "system:kube-scheduler", UserAgent: "kube-scheduler/v1"},
		"sweep":                 {User: "admin", UserAgent: "sweep"},
	} {
		assert.Equal(t, want, scale.Client(record))
	}
}

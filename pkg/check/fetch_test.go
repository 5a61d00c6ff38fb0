// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// attempt is what Talos gives to one attempt of a cluster check.
const attempt = 5 * time.Second

func TestFetchTellsHowEachNodeAnswered(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	status := recovery.RecoveryStatusSpec{NodeName: "worker-a", Phase: specs.PhaseRecovered, Message: "DaemonSets: 1 recovered"}

	cluster.AddNode(t, "worker-a").Say(t, status)
	cluster.AddNode(t, "worker-b")
	cluster.AddStockNode(t, "worker-c")
	cluster.AddNode(t, "worker-d").Stop()
	cluster.AddNode(t, "worker-e").Hang(t)

	st := cluster.Client(t).COSI
	began := time.Now()
	answers := check.Fetch(t.Context(), st, check.Nodes("worker-a", "worker-b", "worker-c", "worker-d", "worker-e", "worker-f"))

	assert.Less(t, time.Since(began), attempt, "a node that hangs must not take the time of the others")

	assert.Equal(t, check.Answer{Node: check.Node{Address: "worker-a"}, Outcome: check.OutcomeStatus, Status: &status}, answers[0])
	assert.Equal(t, check.Answer{Node: check.Node{Address: "worker-b"}, Outcome: check.OutcomeNotFound}, answers[1])
	assert.Equal(t, check.Answer{Node: check.Node{Address: "worker-c"}, Outcome: check.OutcomeUnsupported}, answers[2])

	for i, words := range map[int]string{3: "no such file or directory", 4: "no answer within 2s", 5: "worker-f"} {
		assert.Equal(t, check.OutcomeUnreachable, answers[i].Outcome)
		assert.ErrorContains(t, answers[i].Err, words)
	}

	verdict := check.Judge(answers)
	assert.Equal(t, check.StatusFailing, verdict.Status)
	assert.Contains(t, verdict.Reason, "worker-e: unreachable: no answer within 2s")
}

func TestFetchAsksTheEndpointIfNoNodeIsNamed(t *testing.T) {
	t.Parallel()

	answers := check.Fetch(t.Context(), ctest.NewCluster(t).Client(t).COSI, []check.Node{{}})

	assert.Equal(t, check.OutcomeUnsupported, answers[0].Outcome, "the endpoint is a stock node")
}

func TestFetchThatIsCutShortDoesNotClaimToHaveWaited(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	cluster.AddNode(t, "worker").Hang(t)

	late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()

	over, cancel := context.WithCancel(t.Context())
	cancel()

	for _, ctx := range []context.Context{late, over} {
		assert.EqualError(t, check.Fetch(ctx, cluster.Client(t).COSI, check.Nodes("worker"))[0].Err, "no answer in time")
	}
}

func TestFetchIsRefusedWithoutARole(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	cluster.AddNode(t, "worker-a")

	config, err := cluster.Authority.Config("etcd", talosapi.ClientConfig{
		Endpoints: []string{cluster.Endpoint()}, Roles: role.MakeSet(role.EtcdBackup),
	})
	require.NoError(t, err)

	talos, err := client.New(t.Context(), client.WithConfig(config))
	require.NoError(t, err)

	defer talos.Close() //nolint:errcheck // the test is over

	verdict, err := check.Wait(t.Context(), talos.COSI, check.Nodes("worker-a"), check.WaitOptions{})
	require.NoError(t, err)
	assert.True(t, verdict.Refused())
	assert.Equal(t, "worker-a: refused: not authorized; reading takes the role os:reader", verdict.Reason)
}

// TestFiveHundredNodesFitInOneAttempt has 500 nodes, each with a state of its own behind a socket of its own.
// It is about time, so it runs alone.
func TestFiveHundredNodesFitInOneAttempt(t *testing.T) {
	const size = 500

	cluster := ctest.NewCluster(t)
	nodes := make([]string, size)

	for i := range nodes {
		nodes[i] = fmt.Sprintf("worker-%03d", i)
		cluster.AddNode(t, nodes[i]).Say(t, whole)
	}

	st := cluster.Client(t).COSI

	// What else runs on the machine may spoil an attempt. Talos makes another one then, and so does this.
	for began := time.Now(); ; {
		err := attemptOn(t, st, nodes)
		if err == nil {
			break
		}

		require.Less(t, time.Since(began), eventually, "%v", err)
	}

	// Watching all of them ends with the last.
	last := cluster.Node(nodes[size-1])
	last.Say(t, busy)

	var reasons []string

	verdict, err := check.Wait(t.Context(), st, check.Nodes(nodes...), check.WaitOptions{
		Interval: time.Hour,
		Report: func(verdict check.Verdict) {
			reasons = append(reasons, verdict.Reason)

			if verdict.Status == check.StatusWaiting {
				last.Say(t, whole)
			}
		},
	})
	require.NoError(t, err)
	assert.Equal(t, check.StatusPassed, verdict.Status)
	assert.Contains(t, reasons, "worker-499"+isBusy)
	assert.Equal(t, "500 nodes recovered", reasons[len(reasons)-1])
}

func attemptOn(t *testing.T, st state.State, nodes []string) error {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), attempt)
	defer cancel()

	began := time.Now()
	err := check.AllRecovered(ctx, st, nodes, nil)
	t.Logf("%d nodes took %s of %s: %v", len(nodes), time.Since(began), attempt, err)

	return err
}

// TestAnyNumberFitsInOneAttemptEvenIfNoneAnswers is about the bound: so long for all of them.
func TestAnyNumberFitsInOneAttemptEvenIfNoneAnswers(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	cluster.AddNode(t, "worker").Hang(t)

	st, nodes := cluster.Client(t).COSI, check.Nodes(slices.Repeat([]string{"worker"}, 800)...)

	// What else runs on the machine may spoil an attempt. Talos makes another one then, and so does this.
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), attempt)
		defer cancel()

		verdict := check.Judge(check.Fetch(ctx, st, nodes))
		if ctx.Err() != nil {
			return false
		}

		assert.Equal(t, "worker, worker, worker and 797 more: unreachable: no answer within 4s", verdict.Reason)

		return true
	}, 10*attempt, time.Millisecond, "there is time left")
}

func TestAllRecoveredReturnsTheSkipSentinelBare(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	cluster.AddStockNode(t, "worker-a")
	cluster.AddStockNode(t, "worker-b")
	cluster.AddNode(t, "worker-c")

	skip := errors.New("SKIP")
	st := cluster.Client(t).COSI

	//nolint:errorlint // this is how Talos compares it
	assert.True(t, check.AllRecovered(t.Context(), st, []string{"worker-a", "worker-b"}, skip) == skip)

	require.EqualError(t, check.AllRecovered(t.Context(), st, []string{"worker-a", "worker-c"}, skip),
		"worker-c: no recovery status yet, it has just booted", "one node with rebound is enough for a check")
	require.EqualError(t, check.AllRecovered(t.Context(), st, nil, skip), "there are no nodes to check")
}

func TestAnErrorDoesNotLookLikeTheEndOfACheck(t *testing.T) {
	t.Parallel()

	for message, want := range map[string]string{
		"pulling cilium...":       "worker-a: pulling cilium…",
		"pulling cilium ......":   "worker-a: pulling cilium …",
		"the webhook said OK":     "worker-a: the webhook said OK.",
		"the webhook said SKIP":   "worker-a: the webhook said SKIP.",
		"replacement is Pending.": "worker-a: replacement is Pending.",
	} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			cluster.AddNode(t, "worker-a").Say(t, recovery.RecoveryStatusSpec{Phase: specs.PhaseDegraded, Message: message})

			require.EqualError(t, check.AllRecovered(t.Context(), cluster.Client(t).COSI, []string{"worker-a"}, nil), want)
		})
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// eventually bounds what takes milliseconds when it works.
const eventually = 30 * time.Second

func inPhase(phase specs.Phase, message string) recovery.RecoveryStatusSpec {
	return recovery.RecoveryStatusSpec{Phase: phase, Message: message}
}

// waiting is a Wait that goes on beside the test.
type waiting struct {
	reports chan check.Verdict
	verdict check.Verdict
	err     error
	ended   chan struct{}
}

func start(ctx context.Context, t *testing.T, st state.State, options check.WaitOptions, nodes ...string) *waiting {
	t.Helper()

	w := &waiting{reports: make(chan check.Verdict, 100), ended: make(chan struct{})}
	options.Report = func(verdict check.Verdict) { w.reports <- verdict }

	go func() {
		defer close(w.ended)

		w.verdict, w.err = check.Wait(ctx, st, check.Nodes(nodes...), options)
	}()

	t.Cleanup(func() { <-w.ended })

	return w
}

// next returns the next reason that is reported.
func (w *waiting) next(t *testing.T) string {
	t.Helper()

	select {
	case verdict := <-w.reports:
		return verdict.Reason
	case <-time.After(eventually):
		require.FailNow(t, "nothing was reported")

		return ""
	}
}

// says is about the next reason that is reported.
func (w *waiting) says(t *testing.T, reason string) {
	t.Helper()
	require.Equal(t, reason, w.next(t))
}

// becomes waits for a reason. Until then the node may be seen to be away, for as long as its boot takes on this machine.
func (w *waiting) becomes(t *testing.T, node, reason string) {
	t.Helper()

	for next := w.next(t); next != reason; next = w.next(t) {
		require.Contains(t, next, node+": unreachable: ")
	}
}

func (w *waiting) end(t *testing.T) (check.Verdict, error) {
	t.Helper()

	select {
	case <-w.ended:
		return w.verdict, w.err
	case <-time.After(eventually):
		require.FailNow(t, "it went on waiting")

		return check.Verdict{}, nil
	}
}

// passes is about how it ends once every node is whole.
func (w *waiting) passes(t *testing.T) {
	t.Helper()

	verdict, err := w.end(t)
	require.NoError(t, err)
	assert.Equal(t, check.StatusPassed, verdict.Status)
}

// watching leaves everything to the watches.
var watching = check.WaitOptions{Interval: time.Hour}

// ways are the two ways to wait.
func ways(watching check.WaitOptions) map[string]check.WaitOptions {
	return map[string]check.WaitOptions{
		"by watching": watching,
		"by polling":  {Interval: 20 * time.Millisecond, Poll: true},
	}
}

// What nodes say in these tests, and what is reported then.
var (
	whole = inPhase(specs.PhaseRecovered, "")
	busy  = inPhase(specs.PhaseRecovering, "kube-system/cilium: waiting")
)

const (
	isBusy = ": kube-system/cilium: waiting"
	isNew  = ": no recovery status yet, it has just booted"
)

func TestWaitReturnsAtOnceIfAllNodesAreWhole(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	cluster.AddNode(t, "worker-a").Say(t, whole)
	cluster.AddNode(t, "worker-b").Say(t, inPhase(specs.PhaseDisabled, ""))

	w := start(t.Context(), t, cluster.Client(t).COSI, watching, "worker-a", "worker-b")
	w.passes(t)
	w.says(t, "1 node recovered, 1 not part of Kubernetes")
}

func TestWaitFollowsANodeUntilItIsWhole(t *testing.T) {
	t.Parallel()

	for name, options := range ways(watching) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			cluster.AddNode(t, "worker-a").Say(t, whole)
			node := cluster.AddNode(t, "worker-b")

			w := start(t.Context(), t, cluster.Client(t).COSI, options, "worker-a", "worker-b")
			w.says(t, "worker-b"+isNew)

			node.Say(t, inPhase(specs.PhaseWaiting, "waiting for the kubelet"))
			w.says(t, "worker-b: waiting for the kubelet")

			node.Say(t, inPhase(specs.PhaseDegraded, "kube-system/cilium: cannot delete cilium-x7k2p: denied"))
			w.says(t, "worker-b: kube-system/cilium: cannot delete cilium-x7k2p: denied")

			node.Forget(t)
			w.says(t, "worker-b"+isNew)

			node.Say(t, whole)
			w.says(t, "2 nodes recovered")
			w.passes(t)
			assert.Empty(t, w.reports)
		})
	}
}

func TestWaitGoesOnWhenANodeGoesAwayInTheMiddle(t *testing.T) {
	t.Parallel()

	for name, options := range ways(check.WaitOptions{Interval: 100 * time.Millisecond}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			cluster.AddNode(t, "worker-a").Say(t, whole)
			node := cluster.AddNode(t, "worker-b")
			node.Say(t, busy)

			w := start(t.Context(), t, cluster.Client(t).COSI, options, "worker-a", "worker-b")
			w.says(t, "worker-b"+isBusy)

			node.Stop()
			require.Contains(t, w.next(t), "worker-b: unreachable: ")

			node.Forget(t)
			node.Start(t)
			w.becomes(t, "worker-b", "worker-b"+isNew)

			node.Say(t, whole)
			w.says(t, "2 nodes recovered")
			w.passes(t)
		})
	}
}

// TestWaitFollowsANodeThroughItsReboot leaves it to the watch to notice that the node has come back with a new state.
func TestWaitFollowsANodeThroughItsReboot(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	node := cluster.AddNode(t, "worker-a")
	node.Say(t, busy)

	w := start(t.Context(), t, cluster.Client(t).COSI, watching, "worker-a")
	w.says(t, "worker-a"+isBusy)

	node.Stop()
	node.Reboot(t)
	w.becomes(t, "worker-a", "worker-a"+isNew)

	node.Say(t, whole)
	w.says(t, "1 node recovered")
	w.passes(t)
}

// TestWaitAsksOnceMoreBeforeItPasses lets the first node go while the second is waited for: what was true of it when it
// was last heard of is not good enough.
func TestWaitAsksOnceMoreBeforeItPasses(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	first := cluster.AddNode(t, "worker-a")
	first.Say(t, whole)

	second := cluster.AddNode(t, "worker-b")

	w := start(t.Context(), t, cluster.Client(t).COSI, check.WaitOptions{Interval: 3 * time.Second}, "worker-a", "worker-b")
	w.says(t, "worker-b"+isNew)

	first.Hang(t)
	second.Say(t, whole)

	for reason := w.next(t); !strings.HasPrefix(reason, "worker-a: unreachable: "); reason = w.next(t) {
		require.NotEqual(t, "2 nodes recovered", reason)
	}

	first.Start(t)
	w.passes(t)
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()

	for name, options := range ways(watching) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			cluster.AddNode(t, "worker-a").Say(t, busy)

			ctx, cancel := context.WithCancelCause(t.Context())
			w := start(ctx, t, cluster.Client(t).COSI, options, "worker-a")
			w.says(t, "worker-a"+isBusy)

			enough := errors.New("enough")
			cancel(enough)

			verdict, err := w.end(t)
			require.ErrorIs(t, err, enough)
			assert.Equal(t, "worker-a"+isBusy, verdict.Reason, "the last that was seen")
			assert.Empty(t, w.reports, "what was cut off is no news")
		})
	}
}

func TestWaitDoesNotPassWithoutAnswers(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	cluster.AddNode(t, "worker-a").Say(t, whole)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := check.Wait(ctx, cluster.Client(t).COSI, check.Nodes("worker-a"), check.WaitOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

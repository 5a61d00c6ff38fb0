// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kubecheck"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// eventually bounds what takes milliseconds when it works.
const eventually = 30 * time.Second

// waiting is a Wait that goes on beside the test.
type waiting struct {
	reports chan string
	verdict check.Verdict
	err     error
	ended   chan struct{}
}

func start(ctx context.Context, t *testing.T, cluster *kubecheck.Cluster, options check.WaitOptions) *waiting {
	t.Helper()

	w := &waiting{reports: make(chan string, 100), ended: make(chan struct{})}
	options.Report = func(verdict check.Verdict) { w.reports <- verdict.Status.String() + ": " + verdict.Reason }

	go func() {
		defer close(w.ended)

		w.verdict, w.err = cluster.Wait(ctx, options)
	}()

	t.Cleanup(func() { <-w.ended })

	return w
}

// says is about the next thing that is reported.
func (w *waiting) says(t *testing.T, words string) {
	t.Helper()

	select {
	case said := <-w.reports:
		require.Contains(t, said, words)
	case <-time.After(eventually):
		require.FailNow(t, "nothing was reported")
	}
}

func (w *waiting) passes(t *testing.T, words string) {
	t.Helper()

	w.says(t, "passed: "+words)

	select {
	case <-w.ended:
	case <-time.After(eventually):
		require.FailNow(t, "it went on waiting")
	}

	require.NoError(t, w.err)
	assert.Equal(t, check.StatusPassed, w.verdict.Status)
}

// ways are the two ways to wait. The first leaves everything to the watch.
var ways = map[string]check.WaitOptions{
	"by watching": {Interval: time.Hour},
	"by polling":  {Interval: 20 * time.Millisecond, Poll: true},
}

// TestWaitFollowsANodeThroughAReboot is about all that a Node goes through, in the order of a reboot.
func TestWaitFollowsANodeThroughAReboot(t *testing.T) {
	t.Parallel()

	for name, options := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			const before = earlierBoot

			then := func() *corev1.Node {
				return ctest.Report(ctest.KubernetesNode("worker", before), report(before, specs.PhaseRecovered, ""))
			}

			api := ctest.NewKubernetes(t)
			api.Set(ctest.KubernetesNode("stock", thisBoot))
			api.Set(set(then(), corev1.NodeReady, corev1.ConditionFalse, "node is shutting down"))

			w := start(t.Context(), t, open(t, api), options)
			w.says(t, "waiting: worker: its Node is not Ready: node is shutting down")

			api.Set(set(then(), corev1.NodeReady, corev1.ConditionUnknown, "Kubelet stopped posting node status."))
			w.says(t, "failing: worker: unreachable: Kubelet stopped posting node status.")

			// The kubelet is back, the agent is not.
			api.Set(worker("worker", report(before, specs.PhaseRecovered, "")))
			w.says(t, "waiting: worker: its report is of an earlier boot")

			api.Set(worker("worker", report(thisBoot, specs.PhaseRecovering, "kube-system/cilium: waiting")))
			w.says(t, "waiting: worker: kube-system/cilium: waiting")

			api.Set(recovered("worker"))
			w.passes(t, "1 node recovered, 1 left out, without rebound")
		})
	}
}

func TestWaitMissesANodeThatIsDeleted(t *testing.T) {
	t.Parallel()

	for name, options := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := ctest.NewKubernetes(t)
			api.Set(worker("worker-a", report(earlierBoot, specs.PhaseRecovered, "")))
			api.Set(recovered("worker-b"))

			w := start(t.Context(), t, open(t, api), options)
			w.says(t, "worker-a: its report is of an earlier boot")

			api.Delete("worker-a")
			w.says(t, "failing: worker-a: unreachable: its Node was deleted")

			api.Set(recovered("worker-a"))
			w.passes(t, "2 nodes recovered")
		})
	}
}

// TestWaitOutlivesTheServer is about an API server that goes away, and about watches that end.
func TestWaitOutlivesTheServer(t *testing.T) {
	t.Parallel()

	api := ctest.NewKubernetes(t)
	api.Set(worker("worker", report(earlierBoot, specs.PhaseRecovered, "")))

	w := start(t.Context(), t, open(t, api, "worker"), check.WaitOptions{Interval: 20 * time.Millisecond})
	w.says(t, "waiting: worker: its report is of an earlier boot")

	api.Refuse(http.StatusServiceUnavailable)
	api.EndWatch()
	w.says(t, "failing: failed to list the Nodes: ")

	api.Set(worker("worker", report(thisBoot, specs.PhaseWaiting, "waiting for the kubelet")))
	api.Refuse(0)
	w.says(t, "waiting: worker: waiting for the kubelet")

	// What a watch says is confirmed by a list.
	api.Refuse(http.StatusServiceUnavailable)
	api.Set(recovered("worker"))
	w.says(t, "passed: 1 node recovered")
	w.says(t, "failing: failed to list the Nodes: ")

	api.Refuse(0)
	w.passes(t, "1 node recovered")
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()

	t.Run("when it is refused", func(t *testing.T) {
		t.Parallel()

		api := ctest.NewKubernetes(t)
		api.Refuse(http.StatusForbidden)

		_, err := open(t, api).Wait(t.Context(), check.WaitOptions{})
		assert.ErrorAs(t, err, new(kubecheck.RefusedError))
	})

	t.Run("when no node has rebound", func(t *testing.T) {
		t.Parallel()

		api := ctest.NewKubernetes(t)
		api.Set(ctest.KubernetesNode("worker", thisBoot))

		verdict, err := open(t, api).Wait(t.Context(), check.WaitOptions{})
		require.NoError(t, err)
		assert.Equal(t, check.StatusSkipped, verdict.Status)
	})

	for name, options := range ways {
		t.Run("when there is no more time, "+name, func(t *testing.T) {
			t.Parallel()

			api := ctest.NewKubernetes(t)
			api.Set(worker("worker", report(earlierBoot, specs.PhaseRecovered, "")))

			over := errors.New("not recovered in time")
			ctx, cancel := context.WithCancelCause(t.Context())
			w := start(ctx, t, open(t, api), options)
			w.says(t, "worker: its report is of an earlier boot")
			cancel(over)
			<-w.ended

			require.ErrorIs(t, w.err, over)
			assert.Equal(t, "worker: its report is of an earlier boot", w.verdict.Reason)
		})
	}
}

// silent is an API server whose watches say nothing.
type silent struct {
	corev1client.NodeInterface

	nodes func() []corev1.Node
}

func (s silent) List(context.Context, metav1.ListOptions) (*corev1.NodeList, error) {
	return &corev1.NodeList{Items: s.nodes()}, nil
}

func (s silent) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return watch.NewFake(), nil
}

// TestWaitDoesNotTrustSilence is about a server that has gone without a word: no watch ends then.
func TestWaitDoesNotTrustSilence(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		began := time.Now()

		verdict, err := kubecheck.New(silent{nodes: func() []corev1.Node {
			if time.Since(began) < time.Minute {
				return []corev1.Node{*worker("worker", report(earlierBoot, specs.PhaseRecovered, ""))}
			}

			return []corev1.Node{*recovered("worker")}
		}}).Wait(t.Context(), check.WaitOptions{})

		require.NoError(t, err)
		assert.Equal(t, check.StatusPassed, verdict.Status)
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

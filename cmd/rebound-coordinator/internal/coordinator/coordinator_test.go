// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/coordinator"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/rebound-system/leases/rebound-coordinator"

func newConfig(a *api) coordinator.Config {
	return coordinator.Config{
		Client:         &rest.Config{Host: "http://api", Transport: a, ContentConfig: rest.ContentConfig{ContentType: "application/json"}},
		LeaderElection: true, LeaseNamespace: "rebound-system",
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
		Health: "0", Metrics: "0", Evictions: 2, Logger: zap.NewNop(),
	}
}

// draining is a cluster with one node that is being drained, and one pod that has yet to leave.
func draining(now time.Time) []client.Object {
	policy := &v1alpha1.RebootPolicy{ObjectMeta: metav1.ObjectMeta{Name: "all", UID: "policy"}}
	policy.Spec.Drain.Timeout.Duration = time.Hour

	return []client.Object{
		policy,
		&v1alpha1.RebootBudget{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName, UID: "budget"},
			Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 1},
			Status: v1alpha1.RebootBudgetStatus{Holders: []v1alpha1.SlotHolder{{
				Node: "a", UID: "uid", Attempt: 1, Policy: "all", Since: metav1.NewTime(now), Step: v1alpha1.PhaseCordoned,
			}}},
		},
		&v1alpha1.NodeReboot{
			ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid", Finalizers: []string{v1alpha1.Finalizer}, CreationTimestamp: metav1.NewTime(now)},
			Status: v1alpha1.NodeRebootStatus{
				Phase: v1alpha1.PhaseCordoned, Policy: "all", Attempt: 1, BootID: "boot-1", RequestedAt: new(metav1.NewTime(now)),
				Steps: []v1alpha1.Step{{Phase: v1alpha1.PhaseCordoned, At: metav1.NewTime(now)}},
			},
		},
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "node", Annotations: map[string]string{
				v1alpha1.CordonAnnotation: "uid/1", v1alpha1.AgentAnnotation: v1alpha1.AgentReport{BootID: "boot-1"}.String(),
			}},
			Spec: corev1.NodeSpec{Unschedulable: true},
			Status: corev1.NodeStatus{
				NodeInfo:   corev1.NodeSystemInfo{BootID: "boot-1"},
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: types.UID("pod"), Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{NodeName: "a"},
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			},
		},
		&policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "pdb"},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}},
		},
	}
}

// running is a coordinator that runs.
type running struct {
	*api
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, a *api) *running {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	r := &running{api: a, stop: cancel, done: make(chan error, 1)}

	go func() { r.done <- coordinator.Run(ctx, newConfig(a)) }()

	return r
}

func (r *running) holder() string {
	object := r.object(leasePath)
	if object == nil {
		return ""
	}

	spec, _ := object.Object["spec"].(map[string]any)
	holder, _ := spec["holderIdentity"].(string)

	return holder
}

func isEviction(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/eviction") }

func TestAGracefulStopWaitsForNoEviction(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, draining(time.Now())...)
		evicting := make(chan struct{}, 100)
		a.answering(func(r *http.Request) *http.Response {
			if !isEviction(r) {
				return nil
			}

			evicting <- struct{}{}

			return never(r)
		})

		r := start(t, a)
		<-evicting
		assert.NotEmpty(t, r.holder())

		stopped := time.Now()
		r.stop()
		require.NoError(t, <-r.done)

		assert.Less(t, time.Since(stopped), time.Second)
		assert.Empty(t, r.holder(), "the Lease is given back, so that another one takes over at once")
		assert.Empty(t, a.since(stopped.Add(time.Millisecond)))
	})
}

// Two may not lead at once, whatever the API server does with the requests of the first.
func TestNothingIsSentOnceTheLeadershipIsLost(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, draining(time.Now())...)
		refuse := func(r *http.Request) *http.Response {
			if isEviction(r) {
				return failure(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "not now")
			}

			return nil
		}
		a.answering(refuse)

		r := start(t, a)
		time.Sleep(10 * time.Second)
		require.NotEmpty(t, r.holder())

		lost := time.Now()
		a.answering(func(r *http.Request) *http.Response {
			if isElection(r.URL.Path) {
				return never(r)
			}

			return refuse(r)
		})

		err := <-r.done
		require.ErrorContains(t, err, "leader election lost")
		// The last renewal was up to a retry period before. The Lease is free 15 s after it.
		assert.LessOrEqual(t, time.Since(lost), 12*time.Second)
		assert.NotEmpty(t, a.since(lost), "it went on until then, or this test shows nothing")

		ended := time.Now()
		time.Sleep(time.Minute)
		assert.Empty(t, a.since(ended.Add(time.Millisecond)))
	})
}

// A cache that does not catch up is no reason to hammer the API server.
func TestAWriteThatIsAlwaysAConflictIsTriedNowAndThen(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, draining(time.Now())...)
		a.answering(func(r *http.Request) *http.Response {
			switch {
			case strings.HasSuffix(r.URL.Path, "/nodereboots/a/status"):
				return failure(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
			case isEviction(r):
				t.Error("the status was not written, so nothing may follow")
			}

			return nil
		})

		began := time.Now()
		r := start(t, a)
		time.Sleep(time.Minute)

		tries := 0

		for _, request := range a.since(began) {
			if strings.HasSuffix(request.path, "/nodereboots/a/status") {
				tries++
			}
		}

		assert.GreaterOrEqual(t, tries, 30)
		assert.LessOrEqual(t, tries, 40)

		r.stop()
		require.NoError(t, <-r.done)
	})
}

func TestCRDsThatAreMissingAreNamed(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		a.missing = []string{"reboot.rebound.dev"}

		err := <-start(t, a).done
		require.ErrorContains(t, err, "the CRDs of reboot.rebound.dev are not installed: apply deploy/base/crds first")
	})
}

func TestOneCRDThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		a.missing = []string{"nodereboots"}

		err := <-start(t, a).done
		require.ErrorContains(t, err, "the CRDs of reboot.rebound.dev are not installed")
	})
}

func TestAnAPIServerThatRefusesIsNamed(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		a.answering(func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/rebootbudgets") {
				return failure(http.StatusForbidden, metav1.StatusReasonForbidden, `rebootbudgets is forbidden: User "x" cannot list`)
			}

			return nil
		})

		err := <-start(t, a).done
		require.ErrorContains(t, err, `http://api`)
		require.ErrorContains(t, err, `rebootbudgets is forbidden: User "x" cannot list`)
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/coordinator"
	"github.com/talos-rebound/rebound/internal/reboot"
)

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		change func(*coordinator.Config)
		want   string
	}{
		"the defaults work": {func(*coordinator.Config) {}, ""},
		"no retry period":   {func(c *coordinator.Config) { c.RetryPeriod = 0 }, "--retry-period must be greater than 0"},
		"a deadline within a try": {
			func(c *coordinator.Config) { c.RetryPeriod = 9 * time.Second },
			"--renew-deadline 10s must be more than 1.2 times --retry-period 9s",
		},
		"two leaders at once": {
			func(c *coordinator.Config) { c.LeaseDuration = 12 * time.Second },
			"--lease-duration 12s must be longer than --renew-deadline 10s and --retry-period 2s together, or two would work at once",
		},
		"nobody evicts": {func(c *coordinator.Config) { c.Evictions = 0 }, "--parallel-evictions must be at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			config := newConfig(nil)
			test.change(&config)

			if err := config.Validate(); test.want != "" {
				require.EqualError(t, err, test.want)
				require.EqualError(t, coordinator.Run(t.Context(), config), test.want)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestOutsideAClusterTheNamespaceHasToBeGiven(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		config := newConfig(newAPI(t))
		config.LeaseNamespace = ""

		require.ErrorContains(t, coordinator.Run(t.Context(), config), "give --leader-election-namespace")
	})
}

func TestItIsReadyOnceTheCachesAreFilled(t *testing.T) {
	t.Parallel()

	for _, filled := range []bool{true, false} {
		caches := &informertest.FakeInformers{Synced: &filled}
		err := coordinator.CachesFilled(caches)(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
		assert.Equal(t, filled, err == nil, "%v", err)
	}
}

func TestEventsAreAboutStepsAndWhatIsInTheWay(t *testing.T) {
	t.Parallel()

	status := func(phase reboot.Phase, reason reboot.Reason) reboot.Status {
		return reboot.Status{Phase: phase, Reason: reason}
	}

	for name, test := range map[string]struct {
		was, now     reboot.Status
		kind, reason string
	}{
		"a reboot was asked for": {
			status(reboot.PhaseNone, ""), status(reboot.PhasePending, reboot.ReasonNoSlot), "", "",
		},
		"it is blocked": {
			status(reboot.PhasePending, reboot.ReasonNoSlot), status(reboot.PhasePending, reboot.ReasonBlocked), corev1.EventTypeWarning, "Blocked",
		},
		"it is blocked from the beginning": {
			status(reboot.PhaseNone, ""), status(reboot.PhasePending, reboot.ReasonBlocked), corev1.EventTypeWarning, "Blocked",
		},
		"it is blocked still": {
			status(reboot.PhasePending, reboot.ReasonBlocked), status(reboot.PhasePending, reboot.ReasonBlocked), "", "",
		},
		"nobody can reboot it": {
			status(reboot.PhaseNone, ""), status(reboot.PhasePending, reboot.ReasonNoAgent), corev1.EventTypeWarning, "NoAgent",
		},
		"a window is awaited": {
			status(reboot.PhaseNone, ""), status(reboot.PhasePending, reboot.ReasonOutsideWindow), "", "",
		},
		"it begins": {
			status(reboot.PhasePending, reboot.ReasonNext), status(reboot.PhaseCordoned, reboot.ReasonDraining), corev1.EventTypeNormal, "Cordoned",
		},
		"force applies": {
			status(reboot.PhaseCordoned, reboot.ReasonDraining), status(reboot.PhaseCordoned, reboot.ReasonForcing), corev1.EventTypeWarning, "Forcing",
		},
		"it is given up": {
			status(reboot.PhaseCordoned, reboot.ReasonDraining), status(reboot.PhaseRestoring, reboot.ReasonBlocked), corev1.EventTypeWarning, "GivenUp",
		},
		"it is given back": {
			status(reboot.PhaseRestoring, reboot.ReasonBlocked), status(reboot.PhasePending, reboot.ReasonBlocked), "", "",
		},
		"it may reboot": {
			status(reboot.PhaseDrained, reboot.ReasonDelayed), status(reboot.PhaseGranted, reboot.ReasonRebooting), corev1.EventTypeNormal, "Granted",
		},
		"it does not come back": {
			status(reboot.PhaseGranted, reboot.ReasonRebooting), status(reboot.PhaseGranted, reboot.ReasonNotBack), corev1.EventTypeWarning, "NotBack",
		},
		"it is done": {
			status(reboot.PhaseBack, reboot.ReasonSettling), status(reboot.PhaseDone, reboot.ReasonRebooted), corev1.EventTypeNormal, "Rebooted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			kind, reason := coordinator.EventOf(test.was, test.now)
			assert.Equal(t, test.kind, kind)
			assert.Equal(t, test.reason, reason)
		})
	}
}

func TestTheLastSuccessIsThatOfAnyProcess(t *testing.T) {
	t.Parallel()

	at := time.Unix(1e9, 0)
	results := func(results ...reboot.Result) reboot.Reboot {
		return reboot.Reboot{Status: reboot.Status{Results: results}}
	}

	assert.Zero(t, coordinator.LastSuccess(&reboot.Facts{}))
	assert.Equal(t, at, coordinator.LastSuccess(&reboot.Facts{Reboots: map[string]reboot.Reboot{
		"a": results(reboot.Result{FinishedAt: at.Add(time.Hour)}, reboot.Result{Rebooted: true, FinishedAt: at.Add(-time.Hour)}),
		"b": results(reboot.Result{Rebooted: true, FinishedAt: at}),
		"c": results(),
	}}))
}

func TestStepsAndGiveUpsAreMeasured(t *testing.T) {
	at := time.Unix(1e9, 0)
	was := reboot.Status{Phase: reboot.PhaseCordoned, Steps: []reboot.Step{{Phase: reboot.PhaseCordoned, At: at}}}
	now := was
	now.Phase, now.Reason = reboot.PhaseRestoring, reboot.ReasonBlocked
	now.Steps = append(now.Steps[:1:1], reboot.Step{Phase: reboot.PhaseRestoring, At: at.Add(20 * time.Second)})

	before := gather(t)

	coordinator.Measure(was, now)
	coordinator.Measure(now, now)

	after := gather(t)
	assert.InDelta(t, 1, after["rebound_reboot_give_ups_total"]-before["rebound_reboot_give_ups_total"], 0)
	assert.InDelta(t, 20, after["rebound_reboot_step_seconds"]-before["rebound_reboot_step_seconds"], 0)
	assert.InDelta(t, 0, after["rebound_reboots_total"]-before["rebound_reboots_total"], 0)

	done := was
	done.Phase = reboot.PhaseDone
	coordinator.Measure(was, done)

	assert.InDelta(t, 1, gather(t)["rebound_reboots_total"]-before["rebound_reboots_total"], 0)
}

// gather returns the sums of the metrics, over all their labels.
func gather(t *testing.T) map[string]float64 {
	t.Helper()

	families, err := ctrlmetrics.Registry.(prometheus.Gatherer).Gather()
	require.NoError(t, err)

	sums := map[string]float64{}

	for _, family := range families {
		for _, metric := range family.GetMetric() {
			sums[family.GetName()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetHistogram().GetSampleSum()
		}
	}

	return sums
}

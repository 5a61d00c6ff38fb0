// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// metrics are those that are our own; controller-runtime adds its own to them.
type metrics struct {
	reboots  *prometheus.GaugeVec
	holders  prometheus.Gauge
	seconds  *prometheus.HistogramVec
	givenUp  *prometheus.CounterVec
	rebooted prometheus.Counter
	last     prometheus.Gauge
	forced   prometheus.Counter
}

// newMetrics registers the metrics of the process, once.
var newMetrics = sync.OnceValue(func() *metrics {
	const namespace = "rebound"

	m := &metrics{
		reboots: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "node_reboots",
			Help: "NodeReboots by phase and reason, the reason being what a node waits for.",
		}, []string{"phase", "reason"}),
		holders: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "reboot_slots_held", Help: "Nodes that hold a slot of the RebootBudget.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "reboot_step_seconds", Help: "Seconds that a step of an attempt has taken.",
			Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1200, 3600},
		}, []string{"phase"}),
		givenUp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "reboot_give_ups_total", Help: "Attempts that were given up, by reason.",
		}, []string{"reason"}),
		rebooted: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "reboots_total", Help: "Nodes that were rebooted and are back.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "reboot_last_success_timestamp_seconds", Help: "When the last node was back.",
		}),
		forced: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "reboot_forced_deletes_total", Help: "Pods that were to be deleted past a PodDisruptionBudget.",
		}),
	}

	ctrlmetrics.Registry.MustRegister(m.reboots, m.holders, m.seconds, m.givenUp, m.rebooted, m.last, m.forced)

	return m
})

// count takes what is.
func (t *teller) count(facts *reboot.Facts, decision *reboot.Decision) {
	m := t.metrics
	m.reboots.Reset()

	for _, next := range decision.Reboots {
		m.reboots.WithLabelValues(string(next.Status.Phase), string(next.Status.Reason)).Inc()

		for _, pod := range next.Pods {
			if pod.Forced {
				m.forced.Inc()
			}
		}
	}

	holders := 0
	if facts.Budget != nil {
		holders = len(facts.Budget.Holders)
	}

	m.holders.Set(float64(holders))

	if last := lastSuccess(facts); !last.IsZero() {
		m.last.Set(float64(last.Unix()))
	}
}

// lastSuccess is when the last node was back, whichever process has seen that; zero if none is on record.
func lastSuccess(facts *reboot.Facts) time.Time {
	var last time.Time

	for _, object := range facts.Reboots {
		for _, result := range object.Status.Results {
			if result.Rebooted && result.FinishedAt.After(last) {
				last = result.FinishedAt
			}
		}
	}

	return last
}

// step takes the end of a step.
func (m *metrics) step(was, now reboot.Status) {
	if was.Phase == now.Phase {
		return
	}

	if began, ended := at(&was, was.Phase), at(&now, now.Phase); began > 0 && ended >= began {
		m.seconds.WithLabelValues(string(was.Phase)).Observe(float64(ended - began))
	}

	switch now.Phase { //nolint:exhaustive // the ends of an attempt
	case reboot.PhaseRestoring:
		m.givenUp.WithLabelValues(string(now.Reason)).Inc()
	case reboot.PhaseDone:
		m.rebooted.Inc()
	}
}

// at is when a phase began, in seconds since the epoch; 0 if it did not.
func at(status *reboot.Status, phase reboot.Phase) int64 {
	for _, step := range status.Steps {
		if step.Phase == phase {
			return step.At.Unix()
		}
	}

	return 0
}

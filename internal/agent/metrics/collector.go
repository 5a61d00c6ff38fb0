// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package metrics

import (
	"context"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/prometheus/client_golang/prometheus"

	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	namespace     = "rebound"
	scrapeTimeout = 5 * time.Second
)

var (
	phaseDesc = prometheus.NewDesc(namespace+"_phase",
		"Where the recovery of the node stands: 1 for the phase it is in, 0 for the others.", []string{"phase"}, nil)
	obstacleDesc = prometheus.NewDesc(namespace+"_gate_closed",
		"1 while nothing may be deleted, with the reason; there is no such series while the gate is open.", []string{"reason"}, nil)
	startedDesc = prometheus.NewDesc(namespace+"_recovery_started_timestamp_seconds",
		"When the node's pods were first looked at after the last start of the kubelet.", nil, nil)
	finishedDesc = prometheus.NewDesc(namespace+"_recovery_finished_timestamp_seconds",
		"When the node was found to have recovered.", nil, nil)

	daemonSetLabels    = []string{"namespace", "daemonset"}
	daemonSetPhaseDesc = prometheus.NewDesc(namespace+"_daemonset_phase",
		"Where the recovery of a DaemonSet with a Failed pod in this boot stands: 1 for the phase it is in.", append([]string{"phase"}, daemonSetLabels...), nil)
	foundDesc = prometheus.NewDesc(namespace+"_daemonset_pods_found_total",
		"Failed pods of a DaemonSet whose delete was tried in this boot.", daemonSetLabels, nil)
	rejectedDesc = prometheus.NewDesc(namespace+"_daemonset_pods_rejected_total",
		"Those that failed in this boot.", daemonSetLabels, nil)
	deletedDesc = prometheus.NewDesc(namespace+"_daemonset_pods_deleted_total",
		"Failed pods of a DaemonSet that were deleted in this boot.", daemonSetLabels, nil)
)

var phases = []specs.Phase{specs.PhaseWaiting, specs.PhaseRecovering, specs.PhaseRecovered, specs.PhaseDegraded, specs.PhaseDisabled}

// collector reads the resources at every scrape.
type collector struct{ state state.State }

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		phaseDesc, obstacleDesc, startedDesc, finishedDesc, daemonSetPhaseDesc, foundDesc, rejectedDesc, deletedDesc,
	} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()

	status, err := safe.StateGetByID[*reboundres.RecoveryStatus](ctx, c.state, reboundres.RecoveryStatusID)

	switch {
	case state.IsNotFoundError(err):
	case err != nil:
		metrics <- prometheus.NewInvalidMetric(phaseDesc, err)
	default:
		collectStatus(metrics, *status.TypedSpec())
	}

	list, err := safe.StateListAll[*reboundres.DaemonSetRecovery](ctx, c.state)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(daemonSetPhaseDesc, err)

		return
	}

	for record := range list.All() {
		namespace, name, _ := strings.Cut(record.Metadata().ID(), "/")
		collectDaemonSet(metrics, *record.TypedSpec(), namespace, name)
	}
}

func collectStatus(metrics chan<- prometheus.Metric, status specs.RecoveryStatus) {
	for _, phase := range phases {
		value := 0.0
		if phase == status.Phase {
			value = 1
		}

		metrics <- prometheus.MustNewConstMetric(phaseDesc, prometheus.GaugeValue, value, phase.String())
	}

	if status.Obstacle != "" {
		metrics <- prometheus.MustNewConstMetric(obstacleDesc, prometheus.GaugeValue, 1, status.Obstacle)
	}

	for desc, at := range map[*prometheus.Desc]time.Time{startedDesc: status.StartedAt, finishedDesc: status.FinishedAt} {
		if !at.IsZero() {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(at.UnixMilli())/1000)
		}
	}
}

func collectDaemonSet(metrics chan<- prometheus.Metric, record specs.DaemonSetRecovery, namespace, name string) {
	metrics <- prometheus.MustNewConstMetric(daemonSetPhaseDesc, prometheus.GaugeValue, 1, record.Phase.String(), namespace, name)

	for desc, value := range map[*prometheus.Desc]int{foundDesc: record.Attempts, rejectedDesc: record.Rejections, deletedDesc: record.Deleted} {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), namespace, name)
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/talos-rebound/rebound/internal/agent/reboot"
)

var (
	wantedDesc = prometheus.NewDesc(namespace+"_reboot_wanted",
		"1 while the machine wants to be rebooted, else 0; there is no such series while that is not known.", nil, nil)
	wantedSinceDesc = prometheus.NewDesc(namespace+"_reboot_wanted_since_timestamp_seconds",
		"Since when it wants to be rebooted; there is no such series while it does not.", nil, nil)
	grantedDesc = prometheus.NewDesc(namespace+"_reboot_granted",
		"1 once the reboot of the machine is granted in this boot, else 0.", nil, nil)
)

// reboots collects what was told last.
type reboots struct {
	mu     sync.Mutex
	status *reboot.Status
}

// Reboots makes the server tell of reboots as well, and returns what takes their state. It may be called once.
func (s *Server) Reboots() func(reboot.Status) {
	r := &reboots{}
	s.registry.MustRegister(r)

	return r.set
}

func (r *reboots) set(status reboot.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.status = &status
}

// Describe implements prometheus.Collector.
func (r *reboots) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{wantedDesc, wantedSinceDesc, grantedDesc} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (r *reboots) Collect(metrics chan<- prometheus.Metric) {
	r.mu.Lock()
	status := r.status
	r.mu.Unlock()

	if status == nil {
		return
	}

	metrics <- prometheus.MustNewConstMetric(wantedDesc, prometheus.GaugeValue, number(status.Wanted))
	metrics <- prometheus.MustNewConstMetric(grantedDesc, prometheus.GaugeValue, number(status.Granted))

	if status.Wanted {
		metrics <- prometheus.MustNewConstMetric(wantedSinceDesc, prometheus.GaugeValue, float64(status.Since.Unix()))
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}

	return 0
}

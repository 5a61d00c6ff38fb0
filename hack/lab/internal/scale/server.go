// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"bytes"
	"context"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// reading is what the API server says about itself.
type reading struct {
	// cpuSeconds is its own CPU time, which it takes from /proc.
	cpuSeconds float64
	// rejections are the requests that priority and fairness has turned away.
	rejections float64
	// sent are the bytes that it has answered with, watchSent those of its watches.
	sent, watchSent float64
	// heap and stacks are the bytes in use.
	heap, stacks float64
}

// read asks the API server.
func read(ctx context.Context, client kubernetes.Interface) (reading, error) {
	text, err := client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return reading{}, fmt.Errorf("failed to read metrics of the API server: %w", err)
	}

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return reading{}, fmt.Errorf("failed to parse metrics of the API server: %w", err)
	}

	return reading{
		cpuSeconds: sum(families["process_cpu_seconds_total"]),
		rejections: sum(families["apiserver_flowcontrol_rejected_requests_total"]),
		sent:       sum(families["apiserver_response_sizes"]),
		watchSent:  sum(families["apiserver_watch_events_sizes"]),
		heap:       sum(families["go_memstats_heap_alloc_bytes"]),
		stacks:     sum(families["go_memstats_stack_inuse_bytes"]),
	}, nil
}

// sum adds up the series of a metric; of a histogram what it has counted. A metric
// that is not there has never counted anything.
func sum(family *dto.MetricFamily) float64 {
	total := 0.0

	for _, metric := range family.GetMetric() {
		total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetHistogram().GetSampleSum()
	}

	return total
}

// since returns what was counted between two readings.
func (r reading) since(before reading) reading {
	return reading{
		cpuSeconds: r.cpuSeconds - before.cpuSeconds, rejections: r.rejections - before.rejections,
		sent: r.sent - before.sent, watchSent: r.watchSent - before.watchSent,
		heap: r.heap - before.heap, stacks: r.stacks - before.stacks,
	}
}

// inUse has the API server collect its garbage, and returns what it then has in
// use.
func inUse(ctx context.Context, client kubernetes.Interface) (float64, error) {
	// The profile is made after a collection, and thrown away.
	if _, err := client.CoreV1().RESTClient().Get().AbsPath("/debug/pprof/heap").Param("gc", "1").DoRaw(ctx); err != nil {
		return 0, fmt.Errorf("failed to have the API server collect its garbage: %w", err)
	}

	now, err := read(ctx, client)

	return now.heap + now.stacks, err
}

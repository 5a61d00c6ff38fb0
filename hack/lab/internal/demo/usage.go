// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Usage is what the agent has used by the end of the last reboot that was
// measured, according to its own metrics. It was started in that reboot.
type Usage struct {
	ResidentBytes int64   `json:"residentBytes"`
	CPUSeconds    float64 `json:"cpuSeconds"`
}

// MiB is the memory in the unit that people read.
func (usage Usage) MiB() float64 { return float64(usage.ResidentBytes) / (1 << 20) }

// agentUsage reads the metrics at the URL.
func agentUsage(ctx context.Context, url string) (Usage, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Usage{}, fmt.Errorf("failed to ask for the agent's metrics: %w", err)
	}

	// It is asked once.
	request.Close = true

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Usage{}, fmt.Errorf("failed to get the agent's metrics: %w", err)
	}

	defer response.Body.Close() //nolint:errcheck // nothing is written

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return Usage{}, fmt.Errorf("failed to parse the agent's metrics: %w", err)
	}

	resident := families["process_resident_memory_bytes"].GetMetric()
	cpu := families["process_cpu_seconds_total"].GetMetric()

	if len(resident) != 1 || len(cpu) != 1 {
		return Usage{}, fmt.Errorf("the agent's metrics do not have what it uses: %s", response.Status)
	}

	return Usage{ResidentBytes: int64(resident[0].GetGauge().GetValue()), CPUSeconds: cpu[0].GetCounter().GetValue()}, nil
}

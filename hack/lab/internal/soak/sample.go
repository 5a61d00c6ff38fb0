// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	// sampleInterval is how often the processes are measured, sampleTimeout how long
	// one of them may take to answer. A paused one does not.
	sampleInterval = 2 * time.Second
	sampleTimeout  = time.Second
)

// roleMark is between the name of a process and what it does.
const roleMark = ", "

// The metrics that every program of Go has which serves any, by what they say.
// Handles are the entries of the process's folder fd in /proc.
var metricNames = map[Measure]string{
	Goroutines: "go_goroutines",
	Handles:    "process_open_fds",
	Resident:   "process_resident_memory_bytes",
}

const (
	startMetric  = "process_start_time_seconds"
	leaderMetric = "leader_election_master_status"
)

// process is what is measured.
type process struct {
	name string
	// url is that of its metrics.
	url string
}

// sampler measures processes.
type sampler struct {
	processes []process
	client    *http.Client

	mu    sync.Mutex
	lives map[string][]Life
	// current are the life of each process that was seen last, by the process's name.
	current map[string]lifeKey
}

// lifeKey tells one life of a process from another one.
type lifeKey struct {
	role    string
	started float64
}

func newSampler(processes []process) *sampler {
	return &sampler{
		processes: processes,
		client:    &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: sampleTimeout},
		lives:     map[string][]Life{}, current: map[string]lifeKey{},
	}
}

// run measures until ctx is done.
func (s *sampler) run(ctx context.Context) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()

	for {
		var group sync.WaitGroup

		for _, process := range s.processes {
			// One that is down, or that does not answer, is not measured.
			group.Go(func() { s.measure(ctx, process) }) //nolint:errcheck // as said
		}

		group.Wait()

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// measure takes a sample of the process.
func (s *sampler) measure(ctx context.Context, process process) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, process.url, nil)
	if err != nil {
		return fmt.Errorf("failed to ask for metrics: %w", err)
	}

	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("failed to read metrics of %q: %w", process.name, err)
	}

	defer response.Body.Close() //nolint:errcheck // only read from

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return fmt.Errorf("failed to parse metrics of %q: %w", process.name, err)
	}

	sample := Sample{At: time.Now(), Usage: map[Measure]float64{}}

	for measure, name := range metricNames {
		value, ok := single(families[name])
		if !ok {
			return fmt.Errorf("the metrics of %q have no %s", process.name, name)
		}

		sample.Usage[measure] = value
	}

	started, _ := single(families[startMetric])
	s.add(process.name, lifeKey{roleIn(families), started}, sample)

	return nil
}

// roleIn is what a replica of the coordinator does, and "" for what has no leader.
func roleIn(families map[string]*dto.MetricFamily) string {
	leads, ok := single(families[leaderMetric])

	switch {
	case !ok:
		return ""
	case leads == 1:
		return roleMark + "leading"
	default:
		return roleMark + "waiting"
	}
}

// single returns the value of a metric that has one series.
func single(family *dto.MetricFamily) (float64, bool) {
	if len(family.GetMetric()) != 1 {
		return 0, false
	}

	return family.GetMetric()[0].GetGauge().GetValue(), family.GetMetric()[0].GetGauge() != nil
}

// add adds the sample to the present life of the process. A life that began as
// something else is as old as what it is now.
func (s *sampler) add(name string, key lifeKey, sample Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()

	last, known := s.current[name]
	full := name + key.role

	if !known || last != key {
		began := time.UnixMilli(int64(key.started * 1000))
		if known && last.started == key.started {
			began = sample.At
		}

		s.lives[full] = append(s.lives[full], Life{Began: began})
		s.current[name] = key
	}

	life := &s.lives[full][len(s.lives[full])-1]
	life.Samples = append(life.Samples, sample)
}

// all returns the lives of all processes until now.
func (s *sampler) all() map[string][]Life {
	s.mu.Lock()
	defer s.mu.Unlock()

	copied := map[string][]Life{}

	for name, lives := range s.lives {
		copied[name] = append([]Life{}, lives...)
	}

	return copied
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestAgentIsAboutAsQuickAsAnAdministrator(t *testing.T) {
	const (
		reboots = 5
		// slack is for what two nodes on one machine may differ by, whatever deletes their pods.
		slack = 500 * time.Millisecond
	)

	s := newScenario(t, "floor")
	node := s.addNode("-agent", withAgent(t, platform.Kubeadm))
	floor := s.addNode("-floor")
	s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()

	waits, floors := make([]time.Duration, 0, reboots), make([]time.Duration, 0, reboots)

	for range reboots {
		group, ctx := errgroup.WithContext(s.ctx)

		var wait, least time.Duration

		group.Go(func() (err error) {
			wait, err = node.rebootUntilReady(ctx, nil)

			return err
		})
		group.Go(func() (err error) {
			least, err = floor.rebootUntilReady(ctx, floor.deleteFailed)

			return err
		})
		require.NoError(t, group.Wait())
		node.awaitPhase(specs.PhaseRecovered)

		t.Logf("from healthy kubelet to Ready pod: %s with the agent, %s if an administrator deletes at once", wait, least)

		waits, floors = append(waits, wait), append(floors, least)
	}

	slices.Sort(waits)
	slices.Sort(floors)

	median := len(waits) / 2
	t.Logf("median: %s with the agent, %s if an administrator deletes at once", waits[median], floors[median])
	assert.LessOrEqual(t, waits[median], floors[median]*3/2+slack)
}

// rebootUntilReady reboots the node and returns how long after its kubelet was healthy it had its DaemonSet pods Ready.
// Healthy is called at that moment, unless it is nil.
func (n *node) rebootUntilReady(ctx context.Context, healthy func(context.Context) error) (time.Duration, error) {
	if err := n.Stop(ctx); err != nil {
		return 0, err
	}

	if err := n.Boot(ctx); err != nil {
		return 0, err
	}

	since, err := n.awaitHealthz(ctx)
	if err != nil {
		return 0, err
	}

	if healthy != nil {
		if err = healthy(ctx); err != nil {
			return 0, err
		}
	}

	ready, err := n.WaitDaemonSetPodsReady(ctx)

	return ready.Sub(since), err
}

// awaitHealthz returns when the kubelet was healthy. Nobody could know of it earlier.
func (n *node) awaitHealthz(ctx context.Context) (time.Time, error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()

	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.KubeletHealthz(), nil)
		if err != nil {
			return time.Time{}, err
		}

		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close() //nolint:errcheck // it is not read

			if response.StatusCode == http.StatusOK {
				return time.Now(), nil
			}
		}

		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// deleteFailed deletes the node's pods of the scenario with the rights of an administrator.
func (n *node) deleteFailed(ctx context.Context) error {
	return n.cluster.Client().CoreV1().Pods(n.scenario.name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{
		FieldSelector: "status.phase=Failed,spec.nodeName=" + n.Name(),
	})
}

// The agent's metrics that tell what it costs.
const (
	residentBytes = "process_resident_memory_bytes"
	cpuSeconds    = "process_cpu_seconds_total"
)

func TestAgentCostsNextToNothing(t *testing.T) {
	const (
		daemonSets = 20
		rest       = 30 * time.Second
		// The goal at rest is 25 MiB. A recovery has the pages of the program in memory that its start has touched.
		restingLimit, peakLimit = 40 << 20, 100 << 20
	)

	s := newScenario(t, "cost")
	node := s.addNode("", withAgent(t, platform.Kubeadm))

	for i := range daemonSets {
		s.apply(fmt.Sprintf("daemon-%d", i))
	}

	s.awaitReady()
	s.suspendBackOff()
	s.reboot()
	assert.Equal(t, daemonSets, node.awaitPhase(specs.PhaseRecovered).Counts.Recovered)
	node.awaitReport(func(report specs.NodeReport) bool { return report.Phase == specs.PhaseRecovered })

	recovered, peak, requests := node.metrics(), node.agentPeak(), len(node.requests())

	// That nothing happens can only be seen by waiting.
	<-time.After(rest)

	rested := node.metrics()

	t.Logf("a recovery of %d DaemonSets: %.2f s of CPU since the agent's start, %.1f MiB resident at the most",
		daemonSets, recovered[cpuSeconds], peak/(1<<20))
	t.Logf("%s at rest: %.3f s of CPU, %.1f MiB resident", rest, rested[cpuSeconds]-recovered[cpuSeconds], rested[residentBytes]/(1<<20))

	assert.Less(t, rested[residentBytes], float64(restingLimit))
	assert.Less(t, peak, float64(peakLimit))
	assert.Empty(t, node.requests()[requests:], "at rest it asks for nothing")
}

// agentPeak returns how many bytes of the agent have been resident at the most since its start.
func (n *node) agentPeak() float64 {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(n.t, err)

	for _, path := range commands {
		// A process that has ended meanwhile has none.
		if line, err := os.ReadFile(path); err != nil || !strings.Contains(string(line), "--socket="+n.AgentSocket()) {
			continue
		}

		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		require.NoError(n.t, err)

		_, text, found := strings.Cut(string(status), "VmHWM:")
		require.True(n.t, found)

		kib, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
		require.NoError(n.t, err)

		return kib * 1024
	}

	require.Fail(n.t, "no agent")

	return 0
}

// metrics returns the agent's metrics that have no labels.
func (n *node) metrics() map[string]float64 {
	request, err := http.NewRequestWithContext(n.ctx, http.MethodGet, n.AgentMetrics(), nil)
	require.NoError(n.t, err)

	response, err := http.DefaultClient.Do(request)
	require.NoError(n.t, err)

	defer response.Body.Close() //nolint:errcheck // only read from

	found := map[string]float64{}

	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			found[name] = value
		}
	}

	return found
}

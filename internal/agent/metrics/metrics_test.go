// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package metrics_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/talos-rebound/rebound/internal/agent/host"
	"github.com/talos-rebound/rebound/internal/agent/metrics"
	"github.com/talos-rebound/rebound/internal/agent/reboot"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Unix(1769000000, 0).UTC()

func TestMetricsSayWhatTheResourcesSay(t *testing.T) {
	t.Parallel()

	st, err := host.NewState(t.Context(), recovery.ResourceDefinitions()...)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	server, err := metrics.Listen(ctx, "127.0.0.1:0", st, zaptest.NewLogger(t))
	require.NoError(t, err)

	served := make(chan error, 1)

	go func() { served <- server.Serve(ctx) }()

	assert.NotContains(t, scrape(t, server), "rebound_phase{", "nothing is known yet")

	status(t, st, specs.RecoveryStatus{Phase: specs.PhaseWaiting, Obstacle: "kubelet-unhealthy"})
	assert.Contains(t, scrape(t, server), `rebound_gate_closed{reason="kubelet-unhealthy"} 1`)

	daemonSet(t, st, specs.DaemonSetRecovery{Phase: specs.DaemonSetPhaseReplacing, Attempts: 3, Rejections: 2, Deleted: 1, AttemptedAt: at})
	daemonSet(t, st, specs.DaemonSetRecovery{
		Phase: specs.DaemonSetPhaseRecovered, Attempts: 3, Rejections: 2, Deleted: 3, AttemptedAt: at, FinishedAt: at.Add(1500 * time.Millisecond),
	})
	status(t, st, specs.RecoveryStatus{Phase: specs.PhaseRecovered, StartedAt: at, FinishedAt: at.Add(2 * time.Second)})

	require.Eventually(t, func() bool {
		return strings.Contains(scrape(t, server), "rebound_daemonset_recovery_seconds_sum 1.5")
	}, 30*time.Second, 10*time.Millisecond)

	text := scrape(t, server)

	for _, line := range []string{
		`rebound_phase{phase="recovered"} 1`,
		`rebound_phase{phase="waiting"} 0`,
		`rebound_recovery_started_timestamp_seconds 1.769e+09`,
		`rebound_recovery_finished_timestamp_seconds 1.769000002e+09`,
		`rebound_daemonset_phase{daemonset="cni",namespace="kube-system",phase="recovered"} 1`,
		`rebound_daemonset_pods_found_total{daemonset="cni",namespace="kube-system"} 3`,
		`rebound_daemonset_pods_rejected_total{daemonset="cni",namespace="kube-system"} 2`,
		`rebound_daemonset_pods_deleted_total{daemonset="cni",namespace="kube-system"} 3`,
		`rebound_daemonset_recovery_seconds_bucket{le="1"} 0`,
		`rebound_daemonset_recovery_seconds_bucket{le="2"} 1`,
		"process_resident_memory_bytes",
	} {
		assert.Contains(t, text, line)
	}

	assert.NotContains(t, text, "rebound_gate_closed{")

	_, err = metrics.Listen(ctx, server.Address(), st, zaptest.NewLogger(t))
	require.ErrorContains(t, err, "address already in use; choose another address with --metrics-listen")

	cancel()
	require.NoError(t, <-served)
}

func TestMetricsSayWhetherARebootIsWanted(t *testing.T) {
	t.Parallel()

	st, err := host.NewState(t.Context(), recovery.ResourceDefinitions()...)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	server, err := metrics.Listen(ctx, "127.0.0.1:0", st, zaptest.NewLogger(t))
	require.NoError(t, err)

	tell := server.Reboots()
	served := make(chan error, 1)

	go func() { served <- server.Serve(ctx) }()

	assert.NotContains(t, scrape(t, server), "rebound_reboot_", "nothing is known yet")

	tell(reboot.Status{})

	text := scrape(t, server)
	assert.Contains(t, text, "\nrebound_reboot_wanted 0\n")
	assert.Contains(t, text, "\nrebound_reboot_granted 0\n")
	assert.NotContains(t, text, "\nrebound_reboot_wanted_since_timestamp_seconds ")

	tell(reboot.Status{Wanted: true, Since: at, Granted: true})

	text = scrape(t, server)
	assert.Contains(t, text, "\nrebound_reboot_wanted 1\n")
	assert.Contains(t, text, "\nrebound_reboot_granted 1\n")
	assert.Contains(t, text, "\nrebound_reboot_wanted_since_timestamp_seconds 1.769e+09\n")

	cancel()
	require.NoError(t, <-served)
}

func scrape(t *testing.T, server *metrics.Server) string {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Address()+metrics.Path, nil)
	require.NoError(t, err)

	// A connection that is kept would outlive the test.
	request.Close = true

	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)

	defer response.Body.Close() //nolint:errcheck // it was read to the end

	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(text))

	return string(text)
}

func status(t *testing.T, st *host.State, spec specs.RecoveryStatus) {
	t.Helper()

	require.NoError(t, safe.StateModify(t.Context(), st.State, recovery.NewRecoveryStatus(), func(r *recovery.RecoveryStatus) error {
		*r.TypedSpec() = spec

		return nil
	}))
}

func daemonSet(t *testing.T, st *host.State, spec specs.DaemonSetRecovery) {
	t.Helper()

	require.NoError(t, safe.StateModify(t.Context(), st.State, recovery.NewDaemonSetRecovery("kube-system/cni"), func(r *recovery.DaemonSetRecovery) error {
		*r.TypedSpec() = spec

		return nil
	}))
}

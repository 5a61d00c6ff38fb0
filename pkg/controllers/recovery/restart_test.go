// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestTheWatchIsOpenedAgainWhenTheKubeletComesBack(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		m.recovers()

		m.kubeletStops()
		after(time.Second)
		assert.Equal(t, specs.PhaseWaiting, m.phase())

		pod := m.cluster.create("gpu", rejected)
		m.kubelet(true)

		assert.Equal(t, []string{pod.Name}, m.cluster.deleted())
		m.cluster.become(t, "gpu", ready)
		m.recovers()
	})
}

func TestAKubeletRestartBetweenTwoPassesIsNoticed(t *testing.T) {
	t.Parallel()

	newService := func(m *machine) {
		m.kubeletStops()
		m.kubelet(true)
	}

	for _, tc := range []struct {
		name    string
		ahead   time.Duration // of the clock, at first
		restart func(*machine)
	}{
		{"by a new service", 0, newService},
		{"by a new service on a clock that was set back", time.Hour, newService},
		{"by a new lifecycle", 0, func(m *machine) {
			lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)
			require.NoError(m.t, m.state.Destroy(m.t.Context(), lifecycle.Metadata()))
			m.lifecycle()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			boot(t, func(m *machine) {
				m.spy.ahead = tc.ahead
				m.up()
				m.recovers()
				m.stop()

				time.Sleep(time.Minute)
				tc.restart(m)

				m.start()
				after(time.Second)
				assert.Equal(t, specs.PhaseRecovering, m.phase())
				assert.Equal(t, 2, m.cluster.connections())
			})
		})
	}
}

func TestARestartOfTheControllerNeitherRepeatsNorForgets(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", leftover)
		before := m.daemonSet("cilium")
		require.Equal(t, specs.DaemonSetPhaseReplacing, before.Phase)

		m.stop()
		after(time.Minute)
		m.start()
		after(time.Second)
		assert.Equal(t, before, m.daemonSet("cilium"))

		m.cluster.become(t, "cilium", ready)
		after(12 * time.Second)
		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, m.status().Counts)
		assert.Len(t, m.cluster.deleted(), 1)

		// Recovered as it is, another restart has nothing to do.
		m.stop()
		m.start()
		after(time.Minute)
		assert.Equal(t, 2, m.cluster.connections())
	})
}

func TestARestartDuringADeleteCountsItOnce(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = takes(time.Hour)
		m.upWith("gpu", rejected)
		m.stop()
		require.Equal(t, 1, m.daemonSet("gpu").Attempts, "an attempt has to be on record before it is made")

		m.cluster.set(func() { m.cluster.onDelete = nil })
		m.start()
		after(time.Second)

		assert.Equal(t, 1, m.daemonSet("gpu").Attempts)
		assert.Equal(t, 1, m.daemonSet("gpu").Rejections)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

// broken is a runtime whose state cannot be read. The error is the one that COSI takes for a wish to end.
type broken struct{ controller.Runtime }

func (broken) EventCh() <-chan controller.ReconcileEvent { return nil }

func (broken) Get(context.Context, resource.Pointer, ...state.GetOption) (resource.Resource, error) {
	return nil, fmt.Errorf("failed to query: %w", context.Canceled)
}

func TestRunNeverEndsInAWayThatCOSIDoesNotStartAgain(t *testing.T) {
	t.Parallel()

	controllers, err := recovery.Controllers()
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())

	err = controllers[0].Run(ctx, broken{}, zaptest.NewLogger(t))
	require.ErrorContains(t, err, "failed to query")
	require.NotErrorIs(t, err, context.Canceled)

	cancel()
	require.NoError(t, controllers[0].Run(ctx, broken{}, zaptest.NewLogger(t)))
}

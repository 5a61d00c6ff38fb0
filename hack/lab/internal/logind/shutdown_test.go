// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package logind_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/godbus/dbus/v5"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/talos-rebound/rebound/internal/agent/host"
)

// soon is longer than anything here takes.
const soon = 10 * time.Second

// agent is what rebound's agent has of logind.
type agent struct {
	*host.State

	t    *testing.T
	logs *observer.ObservedLogs
	// stop ends it, and returns when it has ended.
	stop func()
}

// startAgent has an agent listen to the bus at address, on a machine whose kubelet has yet to start.
func startAgent(t *testing.T, address string) *agent {
	t.Helper()

	st, err := host.NewState(t.Context())
	require.NoError(t, err)
	require.NoError(t, errors.Join(st.SetStage(t.Context(), runtime.MachineStageBooting), st.CreateLifecycle(t.Context())))

	core, logs := observer.New(zap.InfoLevel)
	shutdown := &host.Shutdown{
		State:   st,
		Connect: func(opts ...dbus.ConnOption) (*dbus.Conn, error) { return dbus.Connect(address, opts...) },
		Retry:   time.Millisecond,
		Logger:  zap.New(core),
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})

	go func() {
		defer close(ended)
		shutdown.Watch(ctx)
	}()

	stop := func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)

	return &agent{State: st, t: t, logs: logs, stop: stop}
}

func (a *agent) is(phase resource.Phase) bool {
	lifecycle, err := safe.StateGetByID[*k8s.KubeletLifecycle](a.t.Context(), a, k8s.KubeletLifecycleID)

	return err == nil && lifecycle.Metadata().Phase() == phase
}

// await waits until the kubelet's lifecycle says what it should.
func (a *agent) await(phase resource.Phase) {
	a.t.Helper()

	require.Eventually(a.t, func() bool { return a.is(phase) }, soon, time.Millisecond)
}

func TestAgentHearsOfAShutdownAndOfItsCancellation(t *testing.T) {
	server, _ := connect(t)
	agent := startAgent(t, server.Address())

	for range 3 {
		require.NoError(t, server.Begin())
		agent.await(resource.PhaseTearingDown)
		require.NoError(t, server.Cancel())
		agent.await(resource.PhaseRunning)
	}

	status, err := safe.StateGetByID[*runtime.MachineStatus](t.Context(), agent, runtime.MachineStatusID)
	require.NoError(t, err)
	assert.Equal(t, runtime.MachineStageBooting, status.TypedSpec().Stage, "that no shutdown is pending does not mean that the boot has ended")
}

func TestAgentTakesSignalsInTheirOrder(t *testing.T) {
	server, _ := connect(t)
	agent := startAgent(t, server.Address())

	require.NoError(t, server.Begin())
	agent.await(resource.PhaseTearingDown)

	for range 200 {
		require.NoError(t, errors.Join(server.Cancel(), server.Begin()))
	}

	begins := agent.logs.FilterMessage("the machine is shutting down")
	require.Eventually(t, func() bool {
		begins = agent.logs.FilterMessage("the machine is shutting down")

		return begins.Len() == 201
	}, soon, time.Millisecond)
	agent.await(resource.PhaseTearingDown)
	require.Never(t, func() bool { return agent.is(resource.PhaseRunning) }, 50*time.Millisecond, time.Millisecond)
}

func TestAgentIsToldOfAShutdownThatBeganBeforeIt(t *testing.T) {
	server, _ := connect(t)
	require.NoError(t, server.Begin())

	startAgent(t, server.Address()).await(resource.PhaseTearingDown)
}

func TestAgentComesBackToABusThatWasAway(t *testing.T) {
	path := busPath(t)
	agent := startAgent(t, "unix:path="+path)

	require.Eventually(t, func() bool { return agent.logs.Len() > 0 }, soon, time.Millisecond)
	assert.True(t, agent.is(resource.PhaseRunning), "no bus is no shutdown")

	for range 2 {
		server := serve(t, path)

		require.NoError(t, server.Begin())
		agent.await(resource.PhaseTearingDown)
		require.NoError(t, server.Cancel())
		agent.await(resource.PhaseRunning)
		require.NoError(t, server.Begin())
		agent.await(resource.PhaseTearingDown)
		require.NoError(t, server.Close())
	}

	assert.True(t, agent.is(resource.PhaseTearingDown), "a bus that ends in a shutdown does not cancel it")
}

func TestAgentEndsThoughTheBusDoesNotAnswer(t *testing.T) {
	path := busPath(t)

	listener, err := net.Listen("unix", path) //nolint:noctx // it never answers
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, listener.Close()) })

	agent := startAgent(t, "unix:path="+path)

	conn, err := listener.Accept()
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, conn.Close()) })

	agent.stop()
}

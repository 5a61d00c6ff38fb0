// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// recovered is the last line but one of a health check that passed.
const recovered = "waiting for DaemonSet pods to recover: OK"

// health is a run of rebound health in the background.
type health struct {
	ended chan struct{}
	err   error

	mu      sync.Mutex
	text    strings.Builder
	written chan struct{}
}

// startHealth starts rebound health on the nodes, with the role that it needs.
func startHealth(ctx context.Context, t *testing.T, cluster *lab.Lab, options cli.HealthOptions, nodes ...string) *health {
	t.Helper()

	options.Access = cli.Access{Talosconfig: talosconfigFor(t, cluster, role.Reader), Nodes: nodes}
	options.Output = cli.FormatText

	if options.WaitTimeout == 0 {
		options.WaitTimeout = cli.DefaultWaitTimeout
	}

	ctx, cancel := context.WithCancel(ctx)
	h := &health{ended: make(chan struct{}), written: make(chan struct{})}

	go func() {
		defer close(h.ended)

		h.err = cli.Health(ctx, options, h, io.Discard)
	}()

	t.Cleanup(func() {
		cancel()
		<-h.ended

		if t.Failed() {
			t.Logf("rebound health:\n%s%v", h.output(), h.err)
		}
	})

	return h
}

// Write implements io.Writer.
func (h *health) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	close(h.written)
	h.written = make(chan struct{})

	return h.text.Write(text)
}

func (h *health) output() string {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.text.String()
}

// awaitText waits until the check has written the text, which it must not end
// without.
func (h *health) awaitText(ctx context.Context, t *testing.T, text string) {
	t.Helper()

	for {
		h.mu.Lock()
		found, written := strings.Contains(h.text.String(), text), h.written
		h.mu.Unlock()

		if found {
			return
		}

		select {
		case <-written:
		case <-h.ended:
			require.Contains(t, h.output(), text, "the check has ended: %v", h.err)
		case <-ctx.Done():
			require.FailNow(t, "the check has not written "+text)
		}
	}
}

// wait returns what the check ended with.
func (h *health) wait(ctx context.Context, t *testing.T) error {
	t.Helper()

	select {
	case <-h.ended:
		return h.err
	case <-ctx.Done():
		require.FailNow(t, "the check has not ended")

		return nil
	}
}

func TestHealthWaitsFromBeforeARebootUntilAfterIt(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name    string
		options cli.HealthOptions
		down    func(*lab.Node, context.Context) error
	}{
		{"watching", cli.HealthOptions{}, (*lab.Node).Stop},
		{"polling", cli.HealthOptions{Poll: true}, (*lab.Node).Stop},
		{"watching, and power fails", cli.HealthOptions{}, func(node *lab.Node, _ context.Context) error { return node.Kill() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			cluster := shared(t)
			ctx := within(t, 4*time.Minute)
			name, label, selector := own("health")

			_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "cni", selector))
			require.NoError(t, err)

			// The default settle time keeps the node from being recovered before it
			// is rebooted.
			node := addNode(ctx, t, cluster, name, label, lab.WithRebound())
			before := node.BootID()

			check := startHealth(ctx, t, cluster, tc.options, name)
			check.awaitText(ctx, t, name+": ")

			_, err = node.WaitDaemonSetPodsReady(ctx)
			require.NoError(t, err)

			require.NoError(t, tc.down(node, ctx))
			check.awaitText(ctx, t, name+": unreachable: ")
			require.NoError(t, node.Start(ctx))

			require.NoError(t, check.wait(ctx, t))

			output := check.output()
			assert.True(t, strings.HasSuffix(output, recovered+"\n1 node recovered\n"), output)
			assert.Equal(t, 1, strings.Count(output, recovered))

			st := talosClient(ctx, t, cluster.Talosconfig()).COSI
			status, err := safe.StateGetByID[*recoveryres.RecoveryStatus](client.WithNode(ctx, name), st, recoveryres.RecoveryStatusID)
			require.NoError(t, err)
			assert.Equal(t, specs.PhaseRecovered, status.TypedSpec().Phase)
			assert.Equal(t, node.BootID(), status.TypedSpec().BootID)
			assert.NotEqual(t, before, status.TypedSpec().BootID)
		})
	}
}

func TestHealthNamesTheNodeThatDoesNotComeBack(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	stays, _, _ := own("stays")
	goes, _, _ := own("goes")

	addNode(ctx, t, cluster, stays, withRebound())
	node := addNode(ctx, t, cluster, goes, lab.WithRebound())

	check := startHealth(ctx, t, cluster, cli.HealthOptions{WaitTimeout: 15 * time.Second}, stays, goes)
	check.awaitText(ctx, t, goes+": ")
	require.NoError(t, node.Kill())

	err := check.wait(ctx, t)
	require.ErrorContains(t, err, "not recovered within 15s")
	require.ErrorContains(t, err, goes+": unreachable: ")
	assert.NotContains(t, err.Error(), stays)
	assert.Equal(t, cli.ExitNotRecovered, cli.ExitCode(err))
}

func TestHealthLeavesOutANodeWithoutRebound(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	with, _, _ := own("with")
	without, _, _ := own("without")

	addNode(ctx, t, cluster, with, withRebound())
	addNode(ctx, t, cluster, without)

	check := startHealth(ctx, t, cluster, cli.HealthOptions{}, with, without)

	require.NoError(t, check.wait(ctx, t))
	assert.True(t, strings.HasSuffix(check.output(), recovered+"\n1 node recovered, 1 left out, built without rebound\n"), check.output())
}

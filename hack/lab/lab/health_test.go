// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// recovered is the last line but one of a health check that passed.
const recovered = "waiting for DaemonSet pods to recover: OK"

// health is a run of rebound health in the background.
type health struct {
	labtest.Screen

	t *testing.T
	// running is done when the check has ended, with err.
	running context.Context
	err     error
}

// startHealth starts rebound health on the scenario's nodes, with the role that
// it needs, or with a kubeconfig if one is given.
func (s *scenario) startHealth(options cli.HealthOptions) *health {
	if options.Access.Kubeconfig == "" {
		options.Access.Talosconfig = s.talosconfig(role.Reader)
	}

	options.Output = cli.FormatText

	for _, node := range s.nodes {
		options.Access.Nodes = append(options.Access.Nodes, node.Name())
	}

	if options.WaitTimeout == 0 {
		options.WaitTimeout = cli.DefaultWaitTimeout
	}

	ctx, stop := context.WithCancel(s.ctx)
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	h := &health{t: s.t, running: running}

	go func() {
		defer end()

		h.err = cli.Health(ctx, options, h, io.Discard)
	}()

	s.t.Cleanup(func() {
		stop()

		if err := h.wait(); s.t.Failed() {
			s.t.Logf("rebound health:\n%s%v", h, err)
		}
	})

	return h
}

// await waits until the check has written the text, which it must not end
// without.
func (h *health) await(text string) {
	require.NoError(h.t, h.Await(h.running, text))
}

// wait returns what the check ended with.
func (h *health) wait() error {
	<-h.running.Done()

	return h.err
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
			s := newScenario(t, "health")
			s.apply("cni")

			// The default settle time keeps the node from being recovered before it
			// is rebooted.
			node := s.addNode("", lab.WithRebound())
			before := node.BootID()

			check := s.startHealth(tc.options)
			check.await(node.Name() + ": ")
			s.awaitReady()

			require.NoError(t, tc.down(node.Node, s.ctx))
			check.await(node.Name() + ": unreachable: ")
			require.NoError(t, node.Start(s.ctx))

			require.NoError(t, check.wait())

			output := check.String()
			assert.True(t, strings.HasSuffix(output, recovered+"\n1 node recovered\n"), output)
			assert.Equal(t, 1, strings.Count(output, recovered))

			st := s.talosClient(s.cluster.Talosconfig()).COSI
			status, err := safe.StateGetByID[*recoveryres.RecoveryStatus](client.WithNode(s.ctx, node.Name()), st, recoveryres.RecoveryStatusID)
			require.NoError(t, err)
			assert.Equal(t, specs.PhaseRecovered, status.TypedSpec().Phase)
			assert.Equal(t, node.BootID(), status.TypedSpec().BootID)
			assert.NotEqual(t, before, status.TypedSpec().BootID)
		})
	}
}

func TestHealthNamesTheNodeThatDoesNotComeBack(t *testing.T) {
	s := newScenario(t, "away")
	stays := s.addNode("-stays", withRebound())
	goes := s.addNode("-goes", lab.WithRebound())

	check := s.startHealth(cli.HealthOptions{WaitTimeout: 15 * time.Second})
	check.await(goes.Name() + ": ")
	require.NoError(t, goes.Kill())

	err := check.wait()
	require.ErrorContains(t, err, "not recovered within 15s")
	require.ErrorContains(t, err, goes.Name()+": unreachable: ")
	assert.NotContains(t, err.Error(), stays.Name())
	assert.Equal(t, cli.ExitNotRecovered, cli.ExitCode(err))
}

func TestHealthLeavesOutANodeWithoutRebound(t *testing.T) {
	s := newScenario(t, "mixed")
	s.addNode("-with", withRebound())
	s.addNode("-without")

	check := s.startHealth(cli.HealthOptions{})

	require.NoError(t, check.wait())
	assert.True(t, strings.HasSuffix(check.String(), recovered+"\n1 node recovered, 1 left out, without rebound\n"), check.String())
}

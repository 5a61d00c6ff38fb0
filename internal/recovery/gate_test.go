// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestTheGateIsClosedWhile(t *testing.T) {
	t.Parallel()

	// afterBoot is a machine that has neither a name nor a kubelet.
	afterBoot := recovery.Gate{Stage: "running", InService: true, Booted: true}

	for _, tc := range []struct {
		name     string
		edit     edit
		obstacle recovery.Obstacle
		message  string
	}{
		{
			"the machine does not register a node",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{SkipNodeRegistration: true} }),
			recovery.ObstacleDisabled, "this machine does not register a Kubernetes node",
		},
		{
			"the machine has booted without a name and without a kubelet",
			gate(func(g *recovery.Gate) { *g = afterBoot }),
			recovery.ObstacleDisabled, "this machine runs without Kubernetes",
		},
		{
			"the machine has booted and loses its name while its kubelet is being restarted",
			func(f *recovery.Facts) { f.Gate, f.Status.NodeName = afterBoot, node },
			recovery.ObstacleNodename, "waiting for the node's name",
		},
		{
			"the machine has booted without a name and with a kubelet",
			gate(func(g *recovery.Gate) { *g, g.KubeletRunning = afterBoot, true }),
			recovery.ObstacleNodename, "waiting for the node's name",
		},
		{
			"the machine still boots without a name and without a kubelet",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{Stage: "booting", InService: true} }),
			recovery.ObstacleNodename, "waiting for the node's name",
		},
		{
			"the machine has booted and its kubelet is being restarted",
			gate(func(g *recovery.Gate) { *g = afterBoot; g.NodeName = node }),
			recovery.ObstacleKubeletStopped, "waiting for the kubelet to run",
		},
		{
			"the boot id cannot be read",
			func(f *recovery.Facts) { f.Boot = recovery.Boot{Error: "failed to read boot id"} },
			recovery.ObstacleBoot, "failed to read boot id",
		},
		{
			"the boot id is empty, even if the node's is as well",
			func(f *recovery.Facts) { f.Boot, f.Link.Node.BootID = recovery.Boot{}, "" },
			recovery.ObstacleBoot, "waiting for this boot's id",
		},
		{
			"a shutdown has begun, though the kubelet is still healthy",
			gate(func(g *recovery.Gate) { g.LifecycleTearingDown = true }),
			recovery.ObstacleShutdown, "the kubelet is being shut down",
		},
		{
			"nothing is known about the machine",
			gate(func(g *recovery.Gate) { *g = recovery.Gate{} }),
			recovery.ObstacleStage, "waiting for the machine's stage",
		},
		{
			"the machine is rebooting",
			gate(func(g *recovery.Gate) { g.Stage, g.InService = "rebooting", false }),
			recovery.ObstacleStage, "the machine is rebooting",
		},
		{
			"the node has no name yet",
			gate(func(g *recovery.Gate) { g.NodeName = "" }),
			recovery.ObstacleNodename, "waiting for the node's name",
		},
		{
			"the kubelet does not run",
			gate(func(g *recovery.Gate) { g.KubeletRunning, g.KubeletHealthy = false, false }),
			recovery.ObstacleKubeletStopped, "waiting for the kubelet to run",
		},
		{
			"the kubelet is not healthy",
			gate(func(g *recovery.Gate) { g.KubeletHealthy = false }),
			recovery.ObstacleKubeletUnhealthy, "waiting for the kubelet to be healthy",
		},
		{
			"the kubelet has no lifecycle",
			gate(func(g *recovery.Gate) { g.LifecyclePresent = false }),
			recovery.ObstacleLifecycle, "waiting for the kubelet's lifecycle",
		},
		{
			"the API server cannot be reached",
			link(func(l *recovery.Link) { *l = recovery.Link{Error: "failed to read node: connection refused"} }),
			recovery.ObstacleLink, "failed to read node: connection refused",
		},
		{
			"the node object was not read yet",
			link(func(l *recovery.Link) { *l = recovery.Link{} }),
			recovery.ObstacleNodeUnread, `reading node "worker-1"`,
		},
		{
			"the node object is that of the boot before",
			link(func(l *recovery.Link) { l.Node.BootID = "another" }),
			recovery.ObstacleNotRegistered, `waiting for the kubelet to register node "worker-1" in this boot`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := recovery.Plan(facts(pods(leftover()), tc.edit), now)

			phase := specs.PhaseWaiting
			if tc.obstacle == recovery.ObstacleDisabled {
				phase = specs.PhaseDisabled
			}

			assert.Equal(t, tc.obstacle, decision.Obstacle)
			assert.Equal(t, phase, decision.Status.Phase)
			assert.Equal(t, tc.message, decision.Status.Message)
			assert.Equal(t, tc.obstacle >= recovery.ObstacleLink, decision.Connect, "only what the API server says needs it")
			assert.Empty(t, deletes(decision))
			assert.Empty(t, decision.Verdicts)
			assert.Equal(t, tc.obstacle == recovery.ObstacleBoot, !decision.LookAgain.IsZero(), "only a file has to be polled")
		})
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
)

// TestBackoffRestartForgetsEveryBackOff has a control plane of two nodes, each with
// a kube-controller-manager, in place of the lab's own.
func TestBackoffRestartForgetsEveryBackOff(t *testing.T) {
	t.Parallel()

	const device = "example.com/accelerator"

	s := newScenarioOn(t, alone(t), "restart")
	require.NoError(t, s.cluster.StopComponent(component.ControllerManager))

	worker := s.addNode("-w", lab.WithDeviceAfter(device, never))
	s.addNode("-a", lab.ControlPlane(), lab.WithControllerManager())
	s.addNode("-b", lab.ControlPlane(), lab.WithControllerManager())

	leader, standby := s.leader()
	standby.awaitControllerManager()
	leader.awaitControllerManager()

	s.apply("driver", lab.Requests(device))

	// Refusals, before anything is done.
	for _, refused := range []struct {
		name string
		on   *node
		with func(*cli.BackoffRestartOptions)
		says string
		code int
	}{
		{"a worker", worker, nil, "there is no Node", cli.ExitUsage},
		{"one that does not lead", standby, nil, "does not lead and has no back-offs to forget; that of node \"" + leader.Name() + "\" does", cli.ExitUsage},
		{"nobody to ask", leader, func(options *cli.BackoffRestartOptions) { options.Yes = false }, "give --yes", cli.ExitUsage},
		{"somebody who says no", leader, func(options *cli.BackoffRestartOptions) {
			options.Yes, options.Interactive, options.Answers = false, true, strings.NewReader("\n")
		}, "nothing was restarted", cli.ExitNotRecovered},
		{"a reader", leader, func(options *cli.BackoffRestartOptions) { options.Access.Talosconfig = s.talosconfig(role.Reader) }, "os:operator", cli.ExitUsage},
	} {
		_, err := refused.on.restartControllerManager(refused.with)
		require.ErrorContains(t, err, refused.says, refused.name)
		assert.Equal(t, refused.code, cli.ExitCode(err), "%s: %v", refused.name, err)
	}

	out, err := leader.restartControllerManager(func(options *cli.BackoffRestartOptions) { options.DryRun = true })
	require.NoError(t, err)
	assert.Contains(t, out, "nothing was restarted (dry run)")

	holder := s.holder()
	assert.True(t, strings.HasPrefix(holder, leader.Name()+"_"), "the leader is the same: %s", holder)

	worker.awaitBackOff("driver", backOffDeletes)
	before := worker.controllerDeletes("driver")

	out, err = leader.restartControllerManager(nil)
	require.NoError(t, err)
	assert.Contains(t, out, "all back-offs begin anew")
	assert.NotEqual(t, holder, s.holder())

	// The back-off was 32 s, and would be 64 s after the next delete. Now there are
	// three more within what one of them would take.
	s.eventually("three more deletes", func() bool { return len(worker.controllerDeletes("driver")) >= len(before)+3 })

	after := worker.controllerDeletes("driver")[len(before):]
	assert.Less(t, after[2].Time.Sub(after[0].Time), 32*time.Second)

	// With nobody to take over, nothing is restarted.
	leader, standby = s.leader()
	require.NoError(t, standby.Kill())
	s.eventually("the other node is missed", func() bool {
		_, err = leader.restartControllerManager(func(options *cli.BackoffRestartOptions) { options.DryRun = true })

		return err != nil && strings.Contains(err.Error(), "no other node of the control plane is Ready")
	})
	assert.Equal(t, cli.ExitUsage, cli.ExitCode(err))
}

// restartControllerManager runs the command on the node with --yes and the role that it takes.
func (n *node) restartControllerManager(with func(*cli.BackoffRestartOptions)) (string, error) {
	options := cli.BackoffRestartOptions{
		Access: cli.Access{Talosconfig: n.talosconfig(role.Operator)}, KubeAccess: n.kubectl(), Node: n.Name(), Yes: true,
	}
	if with != nil {
		with(&options)
	}

	var out bytes.Buffer

	err := cli.RestartControllerManager(n.ctx, options, &out)

	return out.String(), err
}

// holder is who leads.
func (s *scenario) holder() string {
	lease, err := s.cluster.Client().CoordinationV1().Leases(metav1.NamespaceSystem).Get(s.ctx, string(component.ControllerManager), metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}

	return *lease.Spec.HolderIdentity
}

// leader waits until a node of the control plane leads, and returns it and another one.
func (s *scenario) leader() (leader, standby *node) {
	s.eventually("a leader", func() bool {
		leader, standby = nil, nil
		holder := s.holder()

		for _, node := range s.nodes[1:] {
			if strings.HasPrefix(holder, node.Name()+"_") {
				leader = node
			} else {
				standby = node
			}
		}

		return leader != nil && standby != nil
	})

	return leader, standby
}

// awaitControllerManager waits until the API knows the node's kube-controller-manager as Ready.
func (n *node) awaitControllerManager() {
	n.eventually("a Ready kube-controller-manager on node "+n.Name(), func() bool {
		pod, err := n.cluster.Client().CoreV1().Pods(metav1.NamespaceSystem).Get(n.ctx, string(component.ControllerManager)+"-"+n.Name(), metav1.GetOptions{})

		return err == nil && lab.IsPodReady(pod)
	})
}

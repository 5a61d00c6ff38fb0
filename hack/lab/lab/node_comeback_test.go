// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// TestAMachineComesBackByItself has nobody turn it on again.
func TestAMachineComesBackByItself(t *testing.T) {
	t.Parallel()

	for name, reboot := range map[string]func(*testing.T, *node){
		"by request": func(t *testing.T, node *node) {
			t.Helper()
			require.NoError(t, node.RequestReboot())
		},
		"by logind": func(t *testing.T, node *node) {
			t.Helper()

			bus, err := dbus.Connect(node.BusAddress())
			require.NoError(t, err)

			defer bus.Close() //nolint:errcheck // the machine closes it

			require.NoError(t, bus.Object("org.freedesktop.login1", "/org/freedesktop/login1").Call("org.freedesktop.login1.Manager.Reboot", 0, false).Err)
		},
		"by the Talos API": func(t *testing.T, node *node) {
			t.Helper()

			api, err := client.New(node.ctx, client.WithConfigFromFile(node.cluster.Talosconfig()))
			require.NoError(t, err)

			defer api.Close() //nolint:errcheck // nothing was written

			require.NoError(t, api.Reboot(client.WithNode(node.ctx, node.Name())))
		},
		"by command": func(t *testing.T, node *node) {
			t.Helper()
			require.NoError(t, exec.CommandContext(t.Context(), node.RebootCommand()).Run())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScenario(t, "comeback")
			node := s.addNode("")

			for range 2 {
				before := node.BootID()
				reboot(t, node)

				object := node.awaitNode(func(object *corev1.Node) bool {
					return object.Status.NodeInfo.BootID != before && lab.IsNodeReady(object)
				})
				assert.Equal(t, node.BootID(), object.Status.NodeInfo.BootID)
			}

			boots := node.Boots()
			require.Len(t, boots, 3)
			assert.GreaterOrEqual(t, boots[1].Up.Sub(boots[0].Down), time.Second, "a machine is off for a second at least")
		})
	}
}

func TestAMachineMayStayDown(t *testing.T) {
	s := newScenario(t, "stays-down")
	node := s.addNode("")

	node.SetComeback(lab.Comeback{Never: true})
	require.NoError(t, node.RequestReboot())
	node.awaitNode(func(object *corev1.Node) bool { return !lab.IsNodeReady(object) })

	require.NoError(t, node.Stop(s.ctx), "it waits until the machine is down")
	assert.False(t, node.Running())
	require.NoError(t, node.Start(s.ctx))
	node.awaitNode(lab.IsNodeReady)
	assert.Len(t, node.Boots(), 2)
}

func TestAMachineMayPretendToReboot(t *testing.T) {
	s := newScenario(t, "pretends")
	node := s.addNode("")
	before := node.BootID()

	node.SetComeback(lab.Comeback{SameBoot: true})
	require.NoError(t, node.RequestReboot())
	node.awaitNode(func(object *corev1.Node) bool { return !lab.IsNodeReady(object) })
	node.awaitNode(lab.IsNodeReady)

	assert.Equal(t, before, node.BootID())
	assert.Len(t, node.Boots(), 2)
}

func TestAMachineMayComeBackNotReady(t *testing.T) {
	s := newScenario(t, "not-ready")
	node := s.addNode("")
	before := node.BootID()

	node.SetComeback(lab.Comeback{NoNetwork: true})
	require.NoError(t, node.RequestReboot())

	object := node.awaitNode(func(object *corev1.Node) bool { return object.Status.NodeInfo.BootID != before })
	assert.False(t, lab.IsNodeReady(object))

	require.NoError(t, node.InstallNetwork())
	node.awaitNode(lab.IsNodeReady)
}

func TestANodeOfTheControlPlaneLooksLikeOne(t *testing.T) {
	s := newScenario(t, "control-plane")
	node := s.addNode("", lab.ControlPlane(), lab.WithStaticPod(lab.EtcdPod()))

	require.NoError(t, node.SetCondition(s.ctx, lab.EtcdVoterCondition, corev1.ConditionTrue, "MemberNotLearner"))

	object := node.awaitNode(lab.IsNodeReady)
	assert.Contains(t, object.Labels, lab.ControlPlaneLabel)
	assert.Equal(t, corev1.ConditionTrue, conditionOf(object, lab.EtcdVoterCondition))

	require.Eventually(t, func() bool {
		pod, err := s.cluster.Client().CoreV1().Pods(metav1.NamespaceSystem).Get(s.ctx, "etcd-"+node.Name(), metav1.GetOptions{})

		return err == nil && pod.Status.Phase == corev1.PodRunning
	}, time.Minute, 100*time.Millisecond, "the mirror pod of etcd")
}

// awaitNode waits until the Node object is as wanted.
func (n *node) awaitNode(wanted func(*corev1.Node) bool) *corev1.Node {
	n.t.Helper()

	object, err := n.AwaitObject(n.ctx, wanted)
	require.NoError(n.t, err)

	return object
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// newReboots starts a Kubernetes API with nodes and the objects of reboots. The tests play the coordinator.
func newReboots(t *testing.T, nodes ...string) *ctest.Kubernetes {
	t.Helper()

	api := ctest.NewKubernetes(t)
	api.InstallReboots()

	for _, node := range nodes {
		api.Set(ctest.KubernetesNode(node, "0b9e7b5c-5f0e-4d8b-9a6e-3f1d2c4b5a69"))
	}

	return api
}

// startReboot starts rebound reboot, and returns once it says that it waits for a coordinator to look at the nodes.
func startReboot(t *testing.T, api *ctest.Kubernetes, nodes []string, flags ...string) *command {
	t.Helper()

	cmd := start(t, "KUBECONFIG="+api.Kubeconfig(t), append(append([]string{"reboot"}, nodes...), flags...)...)

	for _, node := range nodes {
		require.Equal(t, node+": its reboot is asked for", cmd.next())
	}

	for _, node := range nodes {
		require.Equal(t, node+": it waits for a coordinator to look at it", cmd.next())
	}

	return cmd
}

// enter is what a coordinator writes.
func enter(api *ctest.Kubernetes, node string, phase v1alpha1.Phase, reason, message string) {
	api.ChangeReboot(node, func(r *v1alpha1.NodeReboot) {
		r.Status.Phase, r.Status.Reason, r.Status.Message = phase, reason, message
		r.Status.RequestedAt = &r.CreationTimestamp
	})
}

func TestRebootWaitPrintsALinePerChange(t *testing.T) {
	t.Parallel()

	api := newReboots(t, "worker-a", "worker-b")
	cmd := startReboot(t, api, []string{"worker-a", "worker-b"}, "--wait")

	enter(api, "worker-a", v1alpha1.PhasePending, "Blocked", "pod web/web-0: its budget allows no disruption")
	assert.Equal(t, "worker-a: Pending (Blocked): pod web/web-0: its budget allows no disruption", cmd.next())

	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseCordoned, v1alpha1.PhaseDrained, v1alpha1.PhaseGranted, v1alpha1.PhaseBack, v1alpha1.PhaseDone} {
		enter(api, "worker-b", phase, "", "")
		assert.Equal(t, "worker-b: "+string(phase), cmd.next())
	}

	enter(api, "worker-a", v1alpha1.PhaseDone, "Rebooted", "in 20s")
	assert.Equal(t, "worker-a: Done (Rebooted): in 20s", cmd.next())
	assert.Equal(t, "2 nodes rebooted", cmd.next())
	assert.Empty(t, cmd.next())

	require.NoError(t, cmd.Wait())
	assert.Empty(t, cmd.stderr.String())
}

func TestRebootWaitOutlivesTheAPIServer(t *testing.T) {
	t.Parallel()

	api := newReboots(t, "worker-a")
	cmd := startReboot(t, api, []string{"worker-a"}, "--wait")

	api.Refuse(http.StatusServiceUnavailable)
	api.EndWatch()
	assert.Contains(t, cmd.next(), "failed to list the NodeReboots: ")

	enter(api, "worker-a", v1alpha1.PhaseDone, "", "")
	api.Refuse(0)

	said := cmd.next()
	for said != "worker-a: Done" && said != "" { // it may have asked more than once meanwhile
		said = cmd.next()
	}

	assert.Equal(t, "worker-a: Done", said)
	require.NoError(t, cmd.Wait())
}

func TestCtrlCLeavesTheRequests(t *testing.T) {
	t.Parallel()

	api := newReboots(t, "worker-a", "worker-b")
	cmd := startReboot(t, api, []string{"worker-a", "worker-b"}, "--wait")

	enter(api, "worker-a", v1alpha1.PhaseDone, "", "")
	assert.Equal(t, "worker-a: Done", cmd.next())

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Equal(t, "rebound: interrupted; the last that was seen: worker-b: it waits for a coordinator to look at it; "+
		"the requests stay, cancel them with: rebound reboot cancel worker-b\n", cmd.stderr.String())
	assert.NotNil(t, api.Reboot("worker-b"))
}

func TestRebootWaitEndsAtItsTimeout(t *testing.T) {
	t.Parallel()

	api := newReboots(t, "worker-a")
	cmd := startReboot(t, api, []string{"worker-a"}, "--wait", "--timeout", "3s")

	assert.Empty(t, cmd.next())
	require.Error(t, cmd.Wait())
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Contains(t, cmd.stderr.String(), "rebound: not rebooted within 3s; the last that was seen: worker-a: it waits for a coordinator to look at it; "+
		"the requests stay, cancel them with: rebound reboot cancel worker-a")
	assert.NotNil(t, api.Reboot("worker-a"))
}

func TestARebootThatSomebodyCancelsIsAFailure(t *testing.T) {
	t.Parallel()

	api := newReboots(t, "worker-a", "worker-b")
	cmd := startReboot(t, api, []string{"worker-a", "worker-b"}, "--wait")

	api.DeleteReboot("worker-a")
	assert.Equal(t, "worker-a: its reboot was cancelled", cmd.next())

	enter(api, "worker-b", v1alpha1.PhaseDone, "", "")
	assert.Equal(t, "worker-b: Done", cmd.next())
	assert.Equal(t, "1 node rebooted", cmd.next())

	require.Error(t, cmd.Wait())
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Equal(t, "rebound: cancelled by somebody else: worker-a\n", cmd.stderr.String())
}

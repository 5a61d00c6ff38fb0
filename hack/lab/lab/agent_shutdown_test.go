// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// watchOn keeps a recovery, and so the agent's watch, open for ever.
const watchOn = "--settle-time=24h"

func TestAgentIsStoppedFirstAndDeletesNothingAfter(t *testing.T) {
	s := newScenario(t, "agent-first")
	node := s.addNode("", withAgent(t, platform.Kubeadm, watchOn))
	cni := s.apply("cni", lab.Critical(), lab.HostNetwork())
	proxy := s.apply("proxy")
	s.awaitReady()
	s.suspendBackOff()
	s.reboot()
	node.awaitStatus(func(status specs.RecoveryStatus) bool { return status.Counts.Recovered == 2 })

	release := holdShutdown(t, node)
	began := time.Now()
	stopped := make(chan error, 1)

	go func() { stopped <- node.Stop(s.ctx) }()

	// The machine is up, and for the agent there is enough to do: if it was there.
	node.awaitFailed(cni)
	node.awaitFailed(proxy)
	node.assertNoAgent()
	release()
	require.NoError(t, <-stopped)

	assert.Equal(t, corev1.PodFailed, node.mirrorPod().Status.Phase)
	assert.Empty(t, node.deletesSince(began))
	assertInOrder(t, node,
		`"Shutdown manager killing pod with gracePeriod" pod="kube-system/`+node.mirrorPod().Name,
		`"Done waiting for all pods in group to terminate" gracePeriod=2 priority=0`,
		`"Shutdown manager killing pod with gracePeriod" pod="`+s.name+"/"+node.pod(cni).Name,
		`"Done waiting for all pods in group to terminate" gracePeriod=2 priority=2000000000`,
	)

	require.NoError(t, node.Start(s.ctx))
	s.awaitReady()
	node.awaitStatus(func(status specs.RecoveryStatus) bool { return status.Counts.Recovered == 2 })
	node.awaitMirrorPod(corev1.PodRunning)
}

// TestAgentStaysDownAfterACancelledShutdown shows what the kubelet does to every static pod: what was shut down is not
// started again before the kubelet is.
func TestAgentStaysDownAfterACancelledShutdown(t *testing.T) {
	s := newScenario(t, "agent-cancelled")
	node := s.addNode("", withAgent(t, platform.Kubeadm))
	daemonSet := s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()
	node.awaitPhase(specs.PhaseRecovered)

	left := node.pod(daemonSet)
	began := time.Now()

	require.NoError(t, node.BeginShutdown())
	node.awaitFailed(daemonSet)
	node.awaitReady(corev1.ConditionFalse)
	require.NoError(t, node.CancelShutdown())
	node.awaitReady(corev1.ConditionTrue)

	node.assertNoAgent()
	assert.Equal(t, corev1.PodFailed, node.mirrorPod().Status.Phase)
	assert.Equal(t, left.UID, node.pod(daemonSet).UID)
	assert.Empty(t, node.deletesSince(began))

	// In the lab the kubelet starts with the machine only.
	require.NoError(t, node.HardReboot(s.ctx))
	s.awaitReady()
	node.awaitMirrorPod(corev1.PodRunning)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, node.awaitPhase(specs.PhaseRecovered).Counts)
	assert.Contains(t, node.deleted(), left.Name)
}

func TestAgentOfSystemdHearsOfAShutdownFromLogind(t *testing.T) {
	s := newScenario(t, "agent-logind")
	node := s.addNode("")
	daemonSet := s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()
	node.runAgent("--platform=systemd")
	node.awaitPhase(specs.PhaseRecovered)

	left := node.pod(daemonSet)

	require.NoError(t, node.BeginShutdown())

	status := node.awaitPhase(specs.PhaseWaiting)
	assert.Equal(t, "shutdown", status.Obstacle)
	assert.Equal(t, "the kubelet is being shut down", status.Message)
	node.awaitFailed(daemonSet)
	node.awaitReady(corev1.ConditionFalse)
	assert.Empty(t, node.deletes())

	require.NoError(t, node.CancelShutdown())

	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, node.awaitPhase(specs.PhaseRecovered).Counts)
	assert.Equal(t, []string{left.Name}, node.deleted())
	assert.False(t, node.deletes()[0].Time.Before(node.awaitReady(corev1.ConditionTrue).LastTransitionTime.Time),
		"the pod is held until the kubelet says that nothing is shut down any more")
	s.awaitReady()
}

// TestAgentWithoutLogindSeesAShutdownOnTheNode is about an agent that no signal reaches, as when the kubelet does not have
// the time to send one.
func TestAgentWithoutLogindSeesAShutdownOnTheNode(t *testing.T) {
	s := newScenario(t, "agent-node")
	node := s.addNode("")
	daemonSet := s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()
	node.runAgent("--platform=kubeadm", watchOn)
	node.awaitPhase(specs.PhaseRecovering)

	left := node.pod(daemonSet)

	require.NoError(t, node.BeginShutdown())

	status := node.awaitStatus(func(status specs.RecoveryStatus) bool { return status.Obstacle == "node-shutdown" })
	assert.Equal(t, specs.PhaseWaiting, status.Phase)
	assert.Equal(t, fmt.Sprintf("the kubelet of node %q says that the node is shutting down", node.Name()), status.Message)
	node.awaitFailed(daemonSet)
	assert.Empty(t, node.deletes())

	require.NoError(t, node.CancelShutdown())
	node.awaitStatus(func(status specs.RecoveryStatus) bool {
		return status.Counts == specs.Counts{Found: 1, Deleted: 1, Recovered: 1}
	})
	assert.Equal(t, []string{left.Name}, node.deleted())
	assert.False(t, node.deletes()[0].Time.Before(node.awaitReady(corev1.ConditionTrue).LastTransitionTime.Time))
	s.awaitReady()
}

// runAgent runs the agent beside the node until the test ends, as systemd would.
func (n *node) runAgent(args ...string) {
	binary, err := rebound()
	require.NoError(n.t, err)

	socket := filepath.Join(n.Root(), "agent.sock")
	agent := exec.CommandContext(n.t.Context(), binary, append([]string{
		"agent", "--host-root=" + n.Root(), "--kubeconfig=" + n.KubeconfigPath(), "--kubelet-healthz=" + n.KubeletHealthz(),
		"--socket=" + socket, "--metrics-listen=", "--log-format=console", "--settle-time=1s",
	}, args...)...)
	agent.Env = []string{"DBUS_SYSTEM_BUS_ADDRESS=" + n.BusAddress()}
	agent.Cancel = func() error { return agent.Process.Signal(syscall.SIGTERM) }
	agent.Stderr = n.t.Output()
	agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

	started, ended := make(chan error), make(chan struct{})

	go func() {
		defer close(ended)
		// The kernel takes the end of the thread that starts the child for the death of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()

		started <- agent.Start()
		agent.Wait() //nolint:errcheck // its context ends it
	}()

	require.NoError(n.t, <-started)

	local, err := talosapi.OpenLocal(socket, true)
	require.NoError(n.t, err)

	n.t.Cleanup(func() {
		assert.NoError(n.t, local.Close())
		<-ended
	})

	n.open = func() (state.State, error) { return local, nil }
}

// awaitFailed waits until the DaemonSet's one pod on the node is Failed.
func (n *node) awaitFailed(daemonSet *appsv1.DaemonSet) {
	require.Eventually(n.t, func() bool {
		return n.pod(daemonSet).Status.Phase == corev1.PodFailed
	}, time.Minute, 50*time.Millisecond)
}

// awaitReady waits until the kubelet says whether the node is Ready, and returns the condition.
func (n *node) awaitReady(status corev1.ConditionStatus) (ready corev1.NodeCondition) {
	require.Eventually(n.t, func() bool {
		object, err := n.cluster.Client().CoreV1().Nodes().Get(n.ctx, n.Name(), metav1.GetOptions{})
		require.NoError(n.t, err)

		i := slices.IndexFunc(object.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
		require.GreaterOrEqual(n.t, i, 0)
		ready = object.Status.Conditions[i]

		return ready.Status == status
	}, time.Minute, 100*time.Millisecond)

	return ready
}

// mirrorPod returns what the API server has of the agent's static pod.
func (n *node) mirrorPod() *corev1.Pod {
	pod, err := n.cluster.Client().CoreV1().Pods(metav1.NamespaceSystem).Get(n.ctx, lab.AgentPod+"-"+n.Name(), metav1.GetOptions{})
	require.NoError(n.t, err)

	return pod
}

func (n *node) awaitMirrorPod(phase corev1.PodPhase) {
	require.Eventually(n.t, func() bool { return n.mirrorPod().Status.Phase == phase }, time.Minute, 100*time.Millisecond)
}

// assertNoAgent checks that the process is gone.
func (n *node) assertNoAgent() {
	conn, err := net.Dial("unix", n.AgentSocket()) //nolint:noctx // a socket that nobody serves answers at once
	if !assert.Error(n.t, err) {
		assert.NoError(n.t, conn.Close())
	}
}

// deletesSince returns the deletes that rebound on the node has tried from then on.
func (n *node) deletesSince(began time.Time) []lab.AuditRecord {
	return slices.DeleteFunc(n.deletes(), func(record lab.AuditRecord) bool { return record.Time.Before(began) })
}

// assertInOrder checks what the kubelet has logged in the current boot.
func assertInOrder(t *testing.T, node *node, texts ...string) {
	t.Helper()

	log, err := node.Log()
	require.NoError(t, err)

	for _, text := range texts {
		_, after, found := strings.Cut(log, text)
		require.True(t, found, "%q comes neither here nor earlier than its turn:\n%s", text, shutdownLines(log))

		log = after
	}
}

func shutdownLines(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return !strings.Contains(line, "hutdown") })

	return strings.Join(lines, "\n")
}

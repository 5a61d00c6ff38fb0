// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestNodeThatRebootsAgainAndAgainHasItsPodsBackWithinSeconds(t *testing.T) {
	const reboots = 5

	s := newScenario(t, "again")
	node := s.addNode("", withRebound())

	daemonSets := []*appsv1.DaemonSet{
		s.apply("cni", lab.Critical(), lab.HostNetwork(), lab.InitContainer("install")),
		s.apply("proxy"),
	}

	s.awaitReady()

	deleted := 0

	for range reboots {
		before := len(node.deleted())

		wait := s.reboot()[0]
		assert.Less(t, wait, backInService)

		status := node.awaitPhase(specs.PhaseRecovered)
		names := node.deleted()[before:]
		records := node.records()

		t.Logf("from healthy kubelet to Ready pods: %s; %s", wait, status.Message)

		assert.Equal(t, specs.Counts{Found: len(records), Deleted: len(names), Recovered: len(records)}, status.Counts)

		for _, daemonSet := range daemonSets {
			record, ok := records[daemonSet.Name]
			if !ok {
				continue
			}

			assert.Equal(t, specs.DaemonSetPhaseRecovered, record.Phase)
			assert.Contains(t, []string{"NodeShutdown", "Terminated"}, record.Reason)
			assert.Equal(t, node.pod(daemonSet).Name, record.Replacement)
			assert.LessOrEqual(t, record.Deleted, record.Attempts)

			if record.Deleted > 0 {
				assert.Contains(t, names, record.FailedPod)
			}
		}

		deleted += len(names)
	}

	assert.Positive(t, deleted, "rebound was never needed")
}

func TestWithoutReboundTheBackOffDoublesFromRebootToReboot(t *testing.T) {
	const (
		// Each reboot costs the DaemonSet controller at least one delete, so after
		// this many the back-off is longer than a reboot, on any machine.
		reboots = 10
		// noticeable is a wait that is due to the back-off alone.
		noticeable = 5 * time.Second
	)

	s := newScenario(t, "compare")
	s.addNode("-with", withRebound())
	without := s.addNode("-without")
	s.apply("cni")
	s.awaitReady()

	// rebootBoth returns how long the node without rebound took.
	rebootBoth := func() time.Duration {
		waits := s.reboot()

		t.Logf("from healthy kubelet to Ready pod: %s with rebound, %s without", waits[0], waits[1])
		assert.Less(t, waits[0], backInService)

		return waits[1]
	}

	wait := time.Duration(0)
	for count := 0; wait < noticeable; count++ {
		require.Less(t, count, reboots, "without rebound the wait does not grow")

		wait = rebootBoth()
	}

	rebootBoth()

	// How the reboots fall makes a gap longer than the back-off, never shorter: 1, 2, 4, 8, … seconds are the least.
	gaps := backOffs(without)
	require.GreaterOrEqual(t, len(gaps), 4)

	for i, gap := range gaps {
		assert.GreaterOrEqual(t, gap, time.Second<<i*9/10, "from one delete of the DaemonSet controller to the next: %s", gaps)
	}

	t.Logf("from one delete of the DaemonSet controller to the next, without rebound: %s", gaps)
}

// backOffs returns the times between the DaemonSet controller's deletes of the
// node's pods.
func backOffs(n *node) []time.Duration {
	deletes := slices.DeleteFunc(n.podDeletes(), func(record lab.AuditRecord) bool {
		return record.User != lab.DaemonSetController || record.Pod.Spec.NodeName != n.Name()
	})

	gaps := make([]time.Duration, max(0, len(deletes)-1))
	for i := range gaps {
		gaps[i] = deletes[i+1].Time.Sub(deletes[i].Time)
	}

	return gaps
}

func TestFailedPodIsReplacedWhileTheDaemonSetControllerBacksOff(t *testing.T) {
	s := newScenario(t, "exact")
	node := s.addNode("", withRebound())
	proxy := s.apply("proxy")
	daemonSets := []*appsv1.DaemonSet{proxy, s.apply("cni", lab.Critical(), lab.HostNetwork())}

	alone := proxy.Spec.Template.Spec
	alone.NodeName, alone.RestartPolicy = node.Name(), corev1.RestartPolicyNever

	pods := s.cluster.Client().CoreV1().Pods(s.name)
	_, err := pods.Create(s.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "orphan"}, Spec: alone}, metav1.CreateOptions{})
	require.NoError(t, err)

	s.awaitReady()
	s.suspendBackOff()
	require.NoError(t, node.Stop(s.ctx))

	left := map[string]corev1.Pod{}

	for _, daemonSet := range daemonSets {
		pod := node.pod(daemonSet)
		assert.Equal(t, corev1.PodFailed, pod.Status.Phase)

		left[daemonSet.Name] = pod
	}

	before := len(node.requests())

	require.NoError(t, node.Start(s.ctx))

	wait, err := node.waitFromHealthy(s.ctx)
	require.NoError(t, err)
	assert.Less(t, wait, backInService)
	t.Logf("from healthy kubelet to Ready pods: %s", wait)

	status := node.awaitPhase(specs.PhaseRecovered)

	assert.Equal(t, specs.Counts{Found: 2, Deleted: 2, Recovered: 2}, status.Counts)
	assert.Equal(t, "DaemonSets: 2 recovered", status.Message)
	assert.Equal(t, node.Name(), status.NodeName)
	assert.True(t, status.FinishedAt.After(status.StartedAt))

	records := node.records()
	require.Len(t, records, 2)

	for _, daemonSet := range daemonSets {
		record, was := records[daemonSet.Name], left[daemonSet.Name]

		for _, at := range []time.Time{record.AttemptedAt, record.DeletedAt, record.FinishedAt} {
			assert.WithinRange(t, at, status.StartedAt, status.FinishedAt)
		}

		assert.Equal(t, specs.DaemonSetRecovery{
			UID:          string(daemonSet.UID),
			APIGroup:     "apps",
			Phase:        specs.DaemonSetPhaseRecovered,
			FailedPod:    was.Name,
			FailedPodUID: string(was.UID),
			Reason:       was.Status.Reason,
			Message:      was.Status.Message,
			Attempts:     1,
			Deleted:      1,
			AttemptedAt:  record.AttemptedAt,
			DeletedAt:    record.DeletedAt,
			Replacement:  node.pod(daemonSet).Name,
			FinishedAt:   record.FinishedAt,

			FailedPodCreatedAt: was.CreationTimestamp.UTC(),
			BootedAt:           status.BootedAt,
		}, record)

		assertEvent(t, node, daemonSet, was)
	}

	orphan, err := pods.Get(s.ctx, "orphan", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, corev1.PodFailed, orphan.Status.Phase, "rebound has nothing to do with a pod that nobody would replace")

	assertFrugal(t, node.requests()[before:], len(records))
	assertSilent(t, node)
}

func TestHardRebootLeavesReboundNothingToDo(t *testing.T) {
	losePower(newScenario(t, "power"), withRebound())
}

func TestHardRebootLeavesTheAgentNothingToDo(t *testing.T) {
	losePower(newScenario(t, "agent-power"), withAgent(t, platform.Talos))
}

// losePower takes the power away from a node.
func losePower(s *scenario, rebound lab.NodeOption) {
	t := s.t
	node := s.addNode("", rebound)
	daemonSet := s.apply("proxy")
	s.awaitReady()

	before, pod := node.awaitPhase(specs.PhaseRecovered), node.pod(daemonSet)

	require.NoError(t, node.HardReboot(s.ctx))
	assert.NotEqual(t, before.BootID, node.BootID())

	file, err := os.ReadFile(node.Root() + "/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	assert.Equal(t, node.BootID(), strings.TrimSpace(string(file)))

	object, err := s.cluster.Client().CoreV1().Nodes().Get(s.ctx, node.Name(), metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, node.BootID(), object.Status.NodeInfo.BootID)

	s.awaitReady()
	assert.Equal(t, pod.UID, node.pod(daemonSet).UID, "the kubelet starts the same pod again")

	status := node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, node.BootID(), status.BootID)
	assert.Equal(t, specs.Counts{}, status.Counts)
	assert.Equal(t, "no Failed DaemonSet pods", status.Message)
	assert.Empty(t, node.deletes())
	assert.Empty(t, s.podDeletes(), "nor has anybody else")
}

func TestNodesThatRebootTogetherDeleteTheirOwnPodsOnly(t *testing.T) {
	s := newScenario(t, "together")
	s.addNode("-a", withRebound())
	s.addNode("-b", withRebound())
	daemonSet := s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()

	left := map[string]string{}
	for _, node := range s.nodes {
		left[node.Name()] = node.pod(daemonSet).Name
	}

	s.reboot()

	for _, node := range s.nodes {
		status := node.awaitPhase(specs.PhaseRecovered)

		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
		assert.Equal(t, []string{left[node.Name()]}, node.deleted())
	}
}

func TestSurgeLeavesMorePodsBehindThanOneShutdownDoesOtherwise(t *testing.T) {
	// More than this are left behind: the shutdown is held up until they are there.
	const limit = 2

	s := newScenario(t, "surge")
	node := s.addNode("", lab.WithRebound(lab.SettleTime(time.Second), lab.RejectionCap(limit)))
	daemonSet := s.apply("proxy", lab.MaxSurge())
	s.awaitReady()
	s.suspendBackOff()

	failed := func() (n int) {
		for _, pod := range s.pods() {
			if pod.Status.Phase == corev1.PodFailed {
				n++
			}
		}

		return n
	}

	release := holdShutdown(t, node)
	stopped := make(chan error, 1)

	go func() { stopped <- node.Stop(s.ctx) }()

	require.Eventually(t, func() bool { return failed() > limit }, time.Minute, 50*time.Millisecond)
	release()
	require.NoError(t, <-stopped)

	left := failed()
	t.Logf("one shutdown left %d Failed pods behind", left)

	require.NoError(t, node.Start(s.ctx))

	status := node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: left, Recovered: 1}, status.Counts)
	assert.Equal(t, corev1.PodRunning, node.pod(daemonSet).Status.Phase)
	assert.Len(t, node.deletes(), left)
}

// holdShutdown keeps the node from being down, as any program may that asks logind for it, and returns what lets it go.
func holdShutdown(t *testing.T, node *node) (release func()) {
	t.Helper()

	conn, err := dbus.Connect(node.BusAddress())
	require.NoError(t, err)

	var inhibitor dbus.UnixFD

	require.NoError(t, conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").
		Call("org.freedesktop.login1.Manager.Inhibit", 0, "shutdown", "test", "to be held", "delay").Store(&inhibitor))

	release = sync.OnceFunc(func() {
		assert.NoError(t, syscall.Close(int(inhibitor)))
		assert.NoError(t, conn.Close())
	})
	t.Cleanup(release)

	return release
}

// assertEvent checks what "kubectl get events" has to show for the deleted pod.
func assertEvent(t *testing.T, node *node, daemonSet *appsv1.DaemonSet, deleted corev1.Pod) {
	t.Helper()

	// As "kubectl describe" and "kubectl get events --for" find them.
	found, err := node.cluster.Client().CoreV1().Events(daemonSet.Namespace).SearchWithContext(node.ctx, scheme.Scheme, daemonSet)
	require.NoError(t, err)

	events := slices.DeleteFunc(found.Items, func(event corev1.Event) bool { return event.Source.Component != "rebound" })
	require.Len(t, events, 1)

	event := events[0]
	assert.Equal(t, corev1.EventTypeNormal, event.Type)
	assert.Equal(t, "DeletedFailedPod", event.Reason)
	assert.Contains(t, event.Message, "deleted Failed pod "+deleted.Name+" on node "+node.Name())
	assert.WithinDuration(t, time.Now(), event.LastTimestamp.Time, time.Minute, "kubectl shows the age")
	assert.EqualValues(t, 1, event.Count)

	// What "kubectl events" of the newer API shows.
	modern, err := node.cluster.Client().EventsV1().Events(daemonSet.Namespace).Get(node.ctx, event.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "rebound", modern.ReportingController)
	assert.Equal(t, node.Name(), modern.ReportingInstance)
}

// assertFrugal checks the requests of one recovery without any trouble.
func assertFrugal(t *testing.T, requests []lab.AuditRecord, failed int) {
	t.Helper()

	counts := map[string]int{}

	for _, request := range requests {
		t.Logf("%s %s %d", request.Verb, request.URI, request.Code)

		counts[request.Verb+" "+request.Resource]++
	}

	assert.Equal(t, failed, counts["delete pods"])
	assert.Equal(t, failed, counts["create events"])
	assert.Equal(t, 1, counts["watch pods"])
	assert.LessOrEqual(t, counts["list pods"], 1, "none if the API server streams the list")
	assert.LessOrEqual(t, counts["get nodes"], failed+2, "before every delete, and until the kubelet has registered")
}

// assertSilent checks that a node that has recovered asks for nothing.
func assertSilent(t *testing.T, node *node) {
	t.Helper()

	const silence = 5 * time.Second

	before := node.requests()

	// That nothing happens can only be seen by waiting.
	<-time.After(silence)

	after := node.requests()
	assert.Empty(t, after[len(before):])
}

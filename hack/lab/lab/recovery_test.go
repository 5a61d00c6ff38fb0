// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestNodeThatRebootsAgainAndAgainHasItsPodsBackWithinSeconds(t *testing.T) {
	t.Parallel()

	const reboots = 5

	cluster := shared(t)
	ctx := within(t, 4*time.Minute)
	name, label, selector := own("again")

	node := addNode(ctx, t, cluster, name, label, withRebound())

	daemonSets := []*appsv1.DaemonSet{
		apply(ctx, t, cluster, lab.DaemonSet(name, "cni", selector, lab.Critical(), lab.HostNetwork(), lab.InitContainer("install"))),
		apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector)),
	}

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	deleted := 0

	for range reboots {
		before := len(namesOf(deletesOf(t, cluster, node)))

		require.NoError(t, node.Reboot(ctx))

		wait, err := waitFromHealthy(ctx, node)
		require.NoError(t, err)
		assert.Less(t, wait, backInService)

		status := awaitPhase(ctx, t, node, specs.PhaseRecovered)
		names := namesOf(deletesOf(t, cluster, node))[before:]
		records := daemonSetsOf(ctx, t, node)

		t.Logf("from healthy kubelet to Ready pods: %s; %s", wait, status.Message)

		assert.Equal(t, specs.Counts{Found: len(records), Deleted: len(names), Recovered: len(records)}, status.Counts)

		for _, daemonSet := range daemonSets {
			record, ok := records[name+"/"+daemonSet.Name]
			if !ok {
				continue
			}

			assert.Equal(t, specs.DaemonSetPhaseRecovered, record.Phase)
			assert.Contains(t, []string{"NodeShutdown", "Terminated"}, record.Reason)
			assert.Equal(t, onlyPodOf(ctx, t, cluster, daemonSet, node).Name, record.Replacement)
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
	t.Parallel()

	const (
		// Each reboot costs the DaemonSet controller at least one delete, so after
		// this many the back-off is longer than a reboot, on any machine.
		reboots = 10
		// noticeable is a wait that is due to the back-off alone.
		noticeable = 5 * time.Second
	)

	cluster := shared(t)
	ctx := within(t, 4*time.Minute)
	name, label, selector := own("compare")

	with := addNode(ctx, t, cluster, name+"-with", label, withRebound())
	without := addNode(ctx, t, cluster, name+"-without", label)

	apply(ctx, t, cluster, lab.DaemonSet(name, "cni", selector))

	for _, node := range []*lab.Node{with, without} {
		_, err := node.WaitDaemonSetPodsReady(ctx)
		require.NoError(t, err)
	}

	// rebootBoth returns how long the node without rebound took.
	rebootBoth := func() time.Duration {
		var withWait, withoutWait time.Duration

		together, togetherCtx := errgroup.WithContext(ctx)
		together.Go(func() (err error) { withWait, err = rebootAndWait(togetherCtx, with); return err })
		together.Go(func() (err error) { withoutWait, err = rebootAndWait(togetherCtx, without); return err })
		require.NoError(t, together.Wait())

		t.Logf("from healthy kubelet to Ready pod: %s with rebound, %s without", withWait, withoutWait)
		assert.Less(t, withWait, backInService)

		return withoutWait
	}

	wait := time.Duration(0)
	for count := 0; wait < noticeable; count++ {
		require.Less(t, count, reboots, "without rebound the wait does not grow")

		wait = rebootBoth()
	}

	rebootBoth()

	// How the reboots fall makes a gap longer than the back-off, never shorter: 1, 2, 4, 8, … seconds are the least.
	gaps := gapsOf(t, cluster, without)
	require.GreaterOrEqual(t, len(gaps), 4)

	for i, gap := range gaps {
		assert.GreaterOrEqual(t, gap, time.Second<<i*9/10, "from one delete of the DaemonSet controller to the next: %s", gaps)
	}

	t.Logf("from one delete of the DaemonSet controller to the next, without rebound: %s", gaps)
}

// gapsOf returns the times between the DaemonSet controller's deletes of the
// node's pods.
func gapsOf(t *testing.T, cluster *lab.Lab, node *lab.Node) []time.Duration {
	t.Helper()

	records, err := cluster.Audit()
	require.NoError(t, err)

	var (
		gaps []time.Duration
		last time.Time
	)

	for _, record := range records {
		if record.User != daemonSetController || !record.DeletesPod() || record.Pod == nil || record.Pod.Spec.NodeName != node.Name() {
			continue
		}

		if !last.IsZero() {
			gaps = append(gaps, record.Time.Sub(last))
		}

		last = record.Time
	}

	return gaps
}

func TestFailedPodIsReplacedWhileTheDaemonSetControllerBacksOff(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("exact")

	node := addNode(ctx, t, cluster, name, label, withRebound())

	daemonSets := map[string]*appsv1.DaemonSet{
		name + "/cni":   apply(ctx, t, cluster, lab.DaemonSet(name, "cni", selector, lab.Critical(), lab.HostNetwork())),
		name + "/proxy": apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector)),
	}

	orphan, err := cluster.Client().CoreV1().Pods(name).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "orphan"},
		Spec:       withoutRestart(name, daemonSets[name+"/proxy"].Spec.Template.Spec),
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	suspendBackOff(ctx, t, cluster, name)
	require.NoError(t, node.Stop(ctx))

	left := map[string]corev1.Pod{}

	for id, daemonSet := range daemonSets {
		left[id] = onlyPodOf(ctx, t, cluster, daemonSet, node)
		assert.Equal(t, corev1.PodFailed, left[id].Status.Phase)
	}

	before := len(requestsOf(t, cluster, node))

	require.NoError(t, node.Start(ctx))

	wait, err := waitFromHealthy(ctx, node)
	require.NoError(t, err)
	assert.Less(t, wait, backInService)
	t.Logf("from healthy kubelet to Ready pods: %s", wait)

	status := awaitPhase(ctx, t, node, specs.PhaseRecovered)

	assert.Equal(t, specs.Counts{Found: 2, Deleted: 2, Recovered: 2}, status.Counts)
	assert.Equal(t, "DaemonSets: 2 recovered", status.Message)
	assert.Equal(t, node.Name(), status.NodeName)
	assert.True(t, status.FinishedAt.After(status.StartedAt))

	records := daemonSetsOf(ctx, t, node)
	require.Len(t, records, 2)

	for id, daemonSet := range daemonSets {
		record, was := records[id], left[id]

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
			Replacement:  onlyPodOf(ctx, t, cluster, daemonSet, node).Name,
			FinishedAt:   record.FinishedAt,

			FailedPodCreatedAt: was.CreationTimestamp.UTC(),
		}, record)

		assertEvent(ctx, t, cluster, daemonSet, node, was)
	}

	orphan, err = cluster.Client().CoreV1().Pods(name).Get(ctx, orphan.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, corev1.PodFailed, orphan.Status.Phase, "rebound has nothing to do with a pod that nobody would replace")

	assertFrugal(t, requestsOf(t, cluster, node)[before:], len(records))
	assertSilent(t, cluster, node)
}

func TestHardRebootLeavesReboundNothingToDo(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("power")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	before, pod := awaitPhase(ctx, t, node, specs.PhaseRecovered), onlyPodOf(ctx, t, cluster, daemonSet, node)

	require.NoError(t, node.HardReboot(ctx))

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	status := awaitPhase(ctx, t, node, specs.PhaseRecovered)

	assert.NotEqual(t, before.BootID, status.BootID)
	assert.Equal(t, node.BootID(), status.BootID)
	assert.Equal(t, specs.Counts{}, status.Counts)
	assert.Equal(t, "no Failed DaemonSet pods", status.Message)
	assert.Equal(t, pod.UID, onlyPodOf(ctx, t, cluster, daemonSet, node).UID)
	assert.Empty(t, deletesOf(t, cluster, node))
}

func TestNodesThatRebootTogetherDeleteTheirOwnPodsOnly(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("together")

	nodes := []*lab.Node{
		addNode(ctx, t, cluster, name+"-a", label, withRebound()),
		addNode(ctx, t, cluster, name+"-b", label, withRebound()),
	}

	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "cni", selector))

	for _, node := range nodes {
		_, err := node.WaitDaemonSetPodsReady(ctx)
		require.NoError(t, err)
	}

	suspendBackOff(ctx, t, cluster, name)

	left := map[string]string{}
	for _, node := range nodes {
		left[node.Name()] = onlyPodOf(ctx, t, cluster, daemonSet, node).Name
	}

	together, togetherCtx := errgroup.WithContext(ctx)

	for _, node := range nodes {
		together.Go(func() error { _, err := rebootAndWait(togetherCtx, node); return err })
	}

	require.NoError(t, together.Wait())

	for _, node := range nodes {
		status := awaitPhase(ctx, t, node, specs.PhaseRecovered)

		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
		assert.Equal(t, []string{left[node.Name()]}, namesOf(deletesOf(t, cluster, node)))
	}
}

func TestPodThatOptedOutIsLeftFailed(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("skip")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	skip := lab.Annotations(map[string]string{"recovery.talos.dev/skip": "true"})

	storage := apply(ctx, t, cluster, lab.DaemonSet(name, "storage", selector, skip))
	proxy := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	suspendBackOff(ctx, t, cluster, name)

	optedOut, other := onlyPodOf(ctx, t, cluster, storage, node), onlyPodOf(ctx, t, cluster, proxy, node)

	require.NoError(t, node.Reboot(ctx))

	status := awaitPhase(ctx, t, node, specs.PhaseRecovered)

	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1, Skipped: 1}, status.Counts)
	assert.Equal(t, "DaemonSets: 1 recovered, 1 opted out", status.Message)

	record := daemonSetsOf(ctx, t, node)[name+"/storage"]
	assert.Equal(t, specs.DaemonSetPhaseSkipped, record.Phase)
	assert.Equal(t, optedOut.Name, record.FailedPod)
	assert.Zero(t, record.Attempts)

	after := onlyPodOf(ctx, t, cluster, storage, node)
	assert.Equal(t, optedOut.UID, after.UID)
	assert.Equal(t, corev1.PodFailed, after.Status.Phase)
	assert.Equal(t, []string{other.Name}, namesOf(deletesOf(t, cluster, node)))
}

func TestPodHeldByAFinalizerBlocksTheRecoveryUntilItIsLetGo(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, selector := own("finalizer")

	node := addNode(ctx, t, cluster, name, label, withRebound())
	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "storage", selector))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	held := onlyPodOf(ctx, t, cluster, daemonSet, node)
	setFinalizers(ctx, t, cluster, held, holdFinalizer)
	require.NoError(t, node.Reboot(ctx))

	status := awaitPhase(ctx, t, node, specs.PhaseDegraded)
	assert.Equal(t, 1, status.Counts.Blocked)
	assert.Contains(t, status.Message, name+"/storage: cannot delete "+held.Name)
	assert.Contains(t, status.Message, holdFinalizer)

	record := daemonSetsOf(ctx, t, node)[name+"/storage"]
	assert.Equal(t, specs.DaemonSetPhaseBlocked, record.Phase)
	assert.Equal(t, held.Name, record.FailedPod)
	assert.Contains(t, record.LastError, holdFinalizer)

	setFinalizers(ctx, t, cluster, held)

	status = awaitPhase(ctx, t, node, specs.PhaseRecovered)
	assert.Equal(t, 1, status.Counts.Recovered)
	assert.Zero(t, status.Counts.Blocked)

	record = daemonSetsOf(ctx, t, node)[name+"/storage"]
	assert.Equal(t, specs.DaemonSetPhaseRecovered, record.Phase)
	assert.Equal(t, onlyPodOf(ctx, t, cluster, daemonSet, node).Name, record.Replacement)
	assert.Empty(t, record.LastError)

	_, err = node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)
}

func TestSurgeLeavesMorePodsBehindThanOneShutdownDoesOtherwise(t *testing.T) {
	t.Parallel()

	// More than this are left behind: the shutdown is held up until they are there.
	const limit = 2

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	name, label, selector := own("surge")

	node := addNode(ctx, t, cluster, name, label, lab.WithRebound(lab.SettleTime(time.Second), lab.RejectionCap(limit)))
	daemonSet := apply(ctx, t, cluster, lab.DaemonSet(name, "proxy", selector, lab.MaxSurge()))

	_, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	suspendBackOff(ctx, t, cluster, name)

	release := holdShutdown(t, node)
	stopped := make(chan error, 1)

	go func() { stopped <- node.Stop(ctx) }()

	require.Eventually(t, func() bool { return failedIn(ctx, t, cluster, name) > limit }, time.Minute, 50*time.Millisecond)
	release()
	require.NoError(t, <-stopped)

	left := failedIn(ctx, t, cluster, name)
	t.Logf("one shutdown left %d Failed pods behind", left)

	require.NoError(t, node.Start(ctx))

	status := awaitPhase(ctx, t, node, specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: left, Recovered: 1}, status.Counts)
	assert.Equal(t, corev1.PodRunning, onlyPodOf(ctx, t, cluster, daemonSet, node).Status.Phase)
	assert.Len(t, deletesOf(t, cluster, node), left)
}

// holdShutdown keeps the node from being down, as any program may that asks logind for it, and returns what lets it go.
func holdShutdown(t *testing.T, node *lab.Node) (release func()) {
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

// failedIn counts the Failed pods of a namespace.
func failedIn(ctx context.Context, t *testing.T, cluster *lab.Lab, namespace string) int {
	t.Helper()

	n := 0

	for _, pod := range podsIn(ctx, t, cluster, namespace) {
		if pod.Status.Phase == corev1.PodFailed {
			n++
		}
	}

	return n
}

// apply creates or changes the DaemonSet.
func apply(ctx context.Context, t *testing.T, cluster *lab.Lab, daemonSet *appsv1.DaemonSet) *appsv1.DaemonSet {
	t.Helper()

	applied, err := cluster.ApplyDaemonSet(ctx, daemonSet)
	require.NoError(t, err)

	return applied
}

func rebootAndWait(ctx context.Context, node *lab.Node) (time.Duration, error) {
	if err := node.Reboot(ctx); err != nil {
		return 0, err
	}

	return waitFromHealthy(ctx, node)
}

// withoutRestart turns a DaemonSet's template into the spec of a single pod.
func withoutRestart(node string, spec corev1.PodSpec) corev1.PodSpec {
	spec.NodeName = node
	spec.RestartPolicy = corev1.RestartPolicyNever

	return spec
}

// assertEvent checks what "kubectl get events" has to show for the deleted pod.
func assertEvent(ctx context.Context, t *testing.T, cluster *lab.Lab, daemonSet *appsv1.DaemonSet, node *lab.Node, deleted corev1.Pod) {
	t.Helper()

	events := deletionEvents(ctx, t, cluster, daemonSet)
	require.Len(t, events, 1)

	event := events[0]
	assert.Equal(t, corev1.EventTypeNormal, event.Type)
	assert.Equal(t, "DeletedFailedPod", event.Reason)
	assert.Contains(t, event.Message, "deleted Failed pod "+deleted.Name+" on node "+node.Name())
	assert.WithinDuration(t, time.Now(), event.LastTimestamp.Time, time.Minute, "kubectl shows the age")
	assert.EqualValues(t, 1, event.Count)

	// What "kubectl events" of the newer API shows.
	modern, err := cluster.Client().EventsV1().Events(daemonSet.Namespace).Get(ctx, event.Name, metav1.GetOptions{})
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
func assertSilent(t *testing.T, cluster *lab.Lab, node *lab.Node) {
	t.Helper()

	const silence = 5 * time.Second

	before := requestsOf(t, cluster, node)

	// That nothing happens can only be seen by waiting.
	<-time.After(silence)

	after := requestsOf(t, cluster, node)
	assert.Empty(t, after[len(before):])
}

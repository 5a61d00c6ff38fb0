// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// testTimeout bounds a test on a slow machine.
	testTimeout = 4 * time.Minute

	// backInService is the promise: a DaemonSet pod is Ready so soon after the
	// kubelet is healthy, however often the node has been rebooted.
	backInService = 10 * time.Second
)

// scenario is what a test has to itself in a lab that it may share: nodes, and
// a namespace with DaemonSets that run on no other node. What goes wrong in its
// methods fails the test; testify says on which line of the test that was.
type scenario struct {
	t       *testing.T
	ctx     context.Context
	cluster *lab.Lab
	// name is the namespace's, and begins the name of every node.
	name  string
	nodes []*node
}

// node is a node of a scenario.
type node struct {
	*lab.Node
	*scenario
	// open returns what rebound says about the node; nil for the node's own Recovery.
	open func() (state.State, error)
}

// Recovery returns what rebound says about the node.
func (n *node) Recovery() (state.State, error) {
	if n.open != nil {
		return n.open()
	}

	return n.Node.Recovery()
}

// scenarios counts: with the flag -count a test runs several times on the
// shared lab.
var scenarios atomic.Int64

// newScenario begins a test that runs on the shared lab, next to others.
func newScenario(t *testing.T, name string) *scenario {
	t.Helper()
	t.Parallel()

	return newScenarioOn(t, shared(t), name)
}

func newScenarioOn(t *testing.T, cluster *lab.Lab, name string) *scenario {
	t.Helper()

	return &scenario{t: t, ctx: within(t, testTimeout), cluster: cluster, name: fmt.Sprintf("%s-%d", name, scenarios.Add(1))}
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)

	return ctx
}

// withRebound runs rebound with a settle time that does not hold up a test.
func withRebound() lab.NodeOption { return lab.WithRebound(lab.SettleTime(time.Second)) }

// labels are those of the scenario's nodes, which its DaemonSets select.
func (s *scenario) labels() map[string]string { return map[string]string{"lab.test/owner": s.name} }

// addNode adds a node for the time of the test. The suffix tells it from the
// scenario's other nodes.
func (s *scenario) addNode(suffix string, opts ...lab.NodeOption) *node {
	added, err := s.cluster.AddNode(s.ctx, s.name+suffix, append(opts, lab.WithLabels(s.labels()))...)
	require.NoError(s.t, err)

	s.t.Cleanup(func() { assert.NoError(s.t, added.Kill()) })

	s.nodes = append(s.nodes, &node{Node: added, scenario: s})

	return s.nodes[len(s.nodes)-1]
}

// apply creates or changes a DaemonSet.
func (s *scenario) apply(name string, opts ...lab.DaemonSetOption) *appsv1.DaemonSet {
	applied, err := s.cluster.ApplyDaemonSet(s.ctx, lab.DaemonSet(s.name, name, append(opts, lab.NodeSelector(s.labels()))...))
	require.NoError(s.t, err)

	return applied
}

// awaitReady waits until the DaemonSets have Ready pods on every node.
func (s *scenario) awaitReady() {
	for _, node := range s.nodes {
		_, err := node.WaitDaemonSetPodsReady(s.ctx)
		require.NoError(s.t, err)
	}
}

// reboot reboots all nodes at the same moment. It returns how long after its
// kubelet was healthy each of them had its DaemonSet pods Ready.
func (s *scenario) reboot() []time.Duration {
	waits := make([]time.Duration, len(s.nodes))
	group, ctx := errgroup.WithContext(s.ctx)

	for i, node := range s.nodes {
		group.Go(func() (err error) {
			if err = node.Reboot(ctx); err != nil {
				return err
			}

			waits[i], err = node.waitFromHealthy(ctx)

			return err
		})
	}

	require.NoError(s.t, group.Wait())

	return waits
}

// pods returns all pods of the namespace.
func (s *scenario) pods() []corev1.Pod {
	list, err := s.cluster.Client().CoreV1().Pods(s.name).List(s.ctx, metav1.ListOptions{})
	require.NoError(s.t, err)

	return list.Items
}

// audit returns the requests that are as wanted.
func (s *scenario) audit(wanted func(lab.AuditRecord) bool) []lab.AuditRecord {
	records, err := s.cluster.Audit()
	require.NoError(s.t, err)

	var found []lab.AuditRecord

	for _, record := range records {
		if wanted(record) {
			found = append(found, record)
		}
	}

	return found
}

// podDeletes returns the requests that deleted pods of the namespace, whoever
// sent them.
func (s *scenario) podDeletes() []lab.AuditRecord {
	deletes := s.audit(func(record lab.AuditRecord) bool { return record.DeletesPod() && record.Namespace == s.name })

	for _, record := range deletes {
		require.NotNil(s.t, record.Pod, "the audit log has what was deleted")
	}

	return deletes
}

// hold keeps the pod, once it is deleted, until what is returned is called.
func (s *scenario) hold(pod corev1.Pod) (letGo func()) {
	require.NoError(s.t, s.cluster.HoldPod(s.ctx, &pod))

	return func() { require.NoError(s.t, s.cluster.ReleasePod(s.ctx, &pod)) }
}

// suspendBackOff makes the DaemonSet controller create pods of the namespace and
// delete none, see lab.SuspendBackOff.
func (s *scenario) suspendBackOff() { require.NoError(s.t, s.cluster.SuspendBackOff(s.ctx, s.name)) }

// watchStatus waits until the node's recovery, in the present boot, is as wanted.
func (n *node) watchStatus(ctx context.Context, wanted func(specs.RecoveryStatus) bool) (specs.RecoveryStatus, error) {
	st, err := n.Recovery()
	if err != nil {
		return specs.RecoveryStatus{}, err
	}

	return lab.AwaitSpec(ctx, st, recoveryres.NewRecoveryStatus().Metadata(), func(status specs.RecoveryStatus) bool {
		return status.BootID == n.BootID() && wanted(status)
	})
}

func (n *node) awaitStatus(wanted func(specs.RecoveryStatus) bool) specs.RecoveryStatus {
	status, err := n.watchStatus(n.ctx, wanted)
	require.NoError(n.t, err, "the recovery of node %q: last seen %+v", n.Name(), status)

	return status
}

// awaitPhase waits for a phase of the node's recovery.
func (n *node) awaitPhase(phase specs.Phase) specs.RecoveryStatus {
	return n.awaitStatus(func(status specs.RecoveryStatus) bool { return status.Phase == phase })
}

// awaitRecord waits until the recovery of the DaemonSet on the node is as wanted.
func (n *node) awaitRecord(daemonSet string, wanted func(specs.DaemonSetRecovery) bool) specs.DaemonSetRecovery {
	st, err := n.Recovery()
	require.NoError(n.t, err)

	record, err := lab.AwaitSpec(n.ctx, st, recoveryres.NewDaemonSetRecovery(n.scenario.name+"/"+daemonSet).Metadata(), wanted)
	require.NoError(n.t, err, "the recovery of DaemonSet %q on node %q: last seen %+v", daemonSet, n.Name(), record)

	return record
}

// records returns what the node says about the scenario's DaemonSets, by name.
func (n *node) records() map[string]specs.DaemonSetRecovery {
	st, err := n.Recovery()
	require.NoError(n.t, err)

	all, err := lab.ListDaemonSets(n.ctx, st)
	require.NoError(n.t, err)

	found := map[string]specs.DaemonSetRecovery{}

	for id, record := range all {
		found[strings.TrimPrefix(id, n.scenario.name+"/")] = record
	}

	return found
}

// requests returns what rebound on the node has asked of the API server.
func (n *node) requests() []lab.AuditRecord {
	return n.audit(func(record lab.AuditRecord) bool { return record.IsOfRebound(n.Name()) })
}

// deletes returns the deletes that rebound on the node has tried, whatever the
// answer was.
func (n *node) deletes() []lab.AuditRecord {
	return n.audit(func(record lab.AuditRecord) bool { return record.IsOfRebound(n.Name()) && record.Verb == "delete" })
}

// deleted returns the names of the pods that rebound on the node has deleted.
func (n *node) deleted() []string {
	var names []string

	for _, record := range n.deletes() {
		if record.DeletesPod() {
			names = append(names, record.Name)
		}
	}

	return names
}

// pod returns the one pod that the DaemonSet has on the node.
func (n *node) pod(daemonSet *appsv1.DaemonSet) corev1.Pod {
	var found []corev1.Pod

	for _, pod := range n.pods() {
		if pod.Spec.NodeName == n.Name() && metav1.IsControlledBy(&pod, daemonSet) {
			found = append(found, pod)
		}
	}

	require.Len(n.t, found, 1, "pods of DaemonSet %q on node %q", daemonSet.Name, n.Name())

	return found[0]
}

// client returns a client with the node's identity.
func (n *node) client() kubernetes.Interface {
	config, err := n.Config()
	require.NoError(n.t, err)

	client, err := kubernetes.NewForConfig(config)
	require.NoError(n.t, err)

	return client
}

// waitFromHealthy returns how long after the kubelet was healthy the node's
// DaemonSet pods were Ready.
func (n *node) waitFromHealthy(ctx context.Context) (time.Duration, error) {
	healthy, err := n.WaitKubeletHealthy(ctx)
	if err != nil {
		return 0, err
	}

	ready, err := n.WaitDaemonSetPodsReady(ctx)
	if err != nil {
		return 0, err
	}

	return ready.Sub(healthy), nil
}

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

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

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

	// holdFinalizer keeps a recovery from ending for as long as a test needs it
	// open.
	holdFinalizer = "lab.test/hold"

	daemonSetController = "system:serviceaccount:kube-system:daemon-set-controller"
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
	patch := func(finalizers string) {
		_, err := s.cluster.Client().CoreV1().Pods(pod.Namespace).Patch(s.ctx, pod.Name, types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":`+finalizers+`}}`), metav1.PatchOptions{})
		require.NoError(s.t, err)
	}

	patch(`["` + holdFinalizer + `"]`)

	return func() { patch("null") }
}

// suspendBackOff makes the DaemonSet controller act as if its back-off for the
// namespace's DaemonSets never ended: it creates pods and deletes none. After
// some ten reboots in a row that is what it does for a quarter of an hour.
//
// There must be a pod in the namespace soon, by which to see that this is so.
func (s *scenario) suspendBackOff() {
	policies := s.cluster.Client().AdmissionregistrationV1()

	_, err := policies.ValidatingAdmissionPolicies().Create(s.ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: deletesOfPods()}},
			},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("request.userInfo.username != %q", daemonSetController),
				Message:    "back-off",
			}},
		},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)

	_, err = policies.ValidatingAdmissionPolicyBindings().Create(s.ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        s.name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources:    &admissionv1.MatchResources{NamespaceSelector: s.namespaceSelector()},
		},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)

	config := s.cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: daemonSetController}

	controller, err := kubernetes.NewForConfig(config)
	require.NoError(s.t, err)

	// The API server does not say when a policy is in force.
	require.Eventually(s.t, func() bool {
		pods := s.pods()
		if len(pods) == 0 {
			return false
		}

		err := controller.CoreV1().Pods(s.name).Delete(s.ctx, pods[0].Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})

		return apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
	}, 30*time.Second, 100*time.Millisecond, "the DaemonSet controller may still delete pods")
}

// deletesOfPods is what the back-off and webhooks are about.
func deletesOfPods() admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Delete},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}
}

func (s *scenario) namespaceSelector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.name}}
}

// await waits until what a node says about itself is as wanted, and returns it,
// or what was seen last.
func await[S any](ctx context.Context, node *node, pointer resource.Pointer, wanted func(S) bool) (last S, err error) {
	st, err := node.Recovery()
	if err != nil {
		return last, err
	}

	_, err = st.WatchFor(ctx, pointer, state.WithCondition(func(res resource.Resource) (bool, error) {
		typed, ok := res.(interface{ TypedSpec() *S })
		if !ok {
			return false, nil
		}

		last = *typed.TypedSpec()

		return wanted(last), nil
	}))

	return last, err
}

// watchStatus waits until the node's recovery, in the present boot, is as wanted.
func (n *node) watchStatus(ctx context.Context, wanted func(specs.RecoveryStatus) bool) (specs.RecoveryStatus, error) {
	return await(ctx, n, recoveryres.NewRecoveryStatus().Metadata(), func(status specs.RecoveryStatus) bool {
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
	record, err := await(n.ctx, n, recoveryres.NewDaemonSetRecovery(n.scenario.name+"/"+daemonSet).Metadata(), wanted)
	require.NoError(n.t, err, "the recovery of DaemonSet %q on node %q: last seen %+v", daemonSet, n.Name(), record)

	return record
}

// records returns what the node says about the scenario's DaemonSets, by name.
func (n *node) records() map[string]specs.DaemonSetRecovery {
	st, err := n.Recovery()
	require.NoError(n.t, err)

	list, err := safe.StateListAll[*recoveryres.DaemonSetRecovery](n.ctx, st)
	require.NoError(n.t, err)

	found := map[string]specs.DaemonSetRecovery{}

	for item := range list.All() {
		found[strings.TrimPrefix(item.Metadata().ID(), n.scenario.name+"/")] = *item.TypedSpec()
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

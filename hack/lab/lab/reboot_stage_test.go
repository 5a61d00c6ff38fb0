// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// theater is the lab in which the scenarios of reboots follow each other: there
// is one RebootBudget in a cluster, so no two of them can run at a time.
type theater struct {
	cluster     *lab.Lab
	coordinator string
	taken       sync.Mutex
	// scenes is how many scenarios were played.
	scenes int
}

var openTheater = sync.OnceValues(func() (*theater, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*startTimeout)
	defer cancel()

	cluster, err := lab.Start(ctx)
	if err != nil {
		return nil, err
	}

	opened := &theater{cluster: cluster, coordinator: filepath.Join(cluster.Folder(), "rebound-coordinator")}

	if _, err = cluster.ApplyManifests(ctx, filepath.Join(deployFolder, "base")); err != nil {
		return opened, err
	}

	return opened, labtest.BuildCoordinator(ctx, filepath.Join("..", "..", ".."), opened.coordinator)
})

// theaterUsed says whether there is a theater to close.
var theaterUsed atomic.Bool

// openTheaterIfUsed returns nil if no scenario was played.
func openTheaterIfUsed() (*theater, error) {
	if !theaterUsed.Load() {
		return nil, nil //nolint:nilnil // as said
	}

	return openTheater()
}

func closeTheater() error {
	opened, err := openTheaterIfUsed()
	if opened == nil {
		return err
	}

	return opened.cluster.Close()
}

const (
	// sceneTimeout bounds one scenario of reboots on a slow machine.
	sceneTimeout = 3 * time.Minute
	// soon is when what needs no waiting has to be done.
	soon = 5 * time.Second
)

// stage is what a scenario of reboots has to itself: nodes that can ask for a
// reboot, a RebootPolicy for them, the coordinator, and a witness. At its end
// the invariants have to hold.
type stage struct {
	*scenario

	policy   *v1alpha1.RebootPolicy
	witness  *lab.Witness
	replicas []*lab.Coordinator
	binary   string
	began    time.Time
	// limit is how many nodes may be down at a time, forced whether pods may be
	// deleted past their budgets.
	limit  int
	forced bool
}

// part is what a node of a stage is.
type part struct {
	options []lab.NodeOption
	// agentless is whether nothing on the node takes part in reboots.
	agentless bool
}

var (
	worker       = part{}
	controlPlane = part{options: []lab.NodeOption{lab.ControlPlane()}}
	stock        = part{agentless: true}
)

// newStage starts a node for each part, named after the letters, and replicas of
// the coordinator. Nobody asks for a reboot yet.
func newStage(t *testing.T, name string, replicas int, parts ...part) *stage {
	t.Helper()
	theaterUsed.Store(true)

	opened, err := openTheater()
	require.NoError(t, err)

	opened.taken.Lock()
	t.Cleanup(opened.taken.Unlock)

	opened.scenes++

	watch(t, opened.cluster)

	s := &stage{scenario: newScenarioOn(t, opened.cluster, name), binary: opened.coordinator, began: time.Now(), limit: 1}
	s.ctx = within(t, sceneTimeout)

	s.policy = &v1alpha1.RebootPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: v1alpha1.RebootPolicySpec{
			NodeSelector: metav1.LabelSelector{MatchLabels: s.labels()},
			Drain:        v1alpha1.Drain{Timeout: metav1.Duration{Duration: time.Minute}, OnBlocked: v1alpha1.GiveUp},
			Reboot:       v1alpha1.Reboot{Method: v1alpha1.MethodAgent, Timeout: metav1.Duration{Duration: time.Minute}},
			Gates:        v1alpha1.Gates{Settle: metav1.Duration{Duration: time.Second}},
		},
	}

	t.Cleanup(s.clear)
	s.boot(parts)
	s.setPolicy(func(*v1alpha1.RebootPolicySpec) {})

	ctx, cancel := context.WithCancel(s.ctx)

	s.witness, err = s.cluster.Witness(ctx)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		s.witness.Wait()
	})

	for range replicas {
		s.addReplica(lab.CoordinatorOptions{})
	}

	return s
}

// boot starts the nodes side by side, and waits until they are Ready and their
// agents have reported.
func (s *stage) boot(parts []part) {
	binary, err := rebound()
	require.NoError(s.t, err)

	var group errgroup.Group

	s.nodes = make([]*node, len(parts))

	for i, part := range parts {
		options := append([]lab.NodeOption{lab.WithLabels(s.labels())}, part.options...)

		if !part.agentless {
			options = append(options, lab.WithAgent(lab.Agent{
				Binary: binary, Platform: platform.K3s, Args: []string{"--settle-time=1s"},
				Reboots: platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel},
			}))
		}

		group.Go(func() error {
			added, err := s.cluster.AddNode(s.ctx, fmt.Sprintf("%s-%c", s.name, 'a'+i), options...)
			if err != nil {
				return err
			}

			s.nodes[i] = &node{Node: added, scenario: s.scenario}

			_, err = added.AwaitObject(s.ctx, func(object *corev1.Node) bool {
				return isReady(object) && (part.agentless || object.Annotations[v1alpha1.AgentAnnotation] != "")
			})

			return err
		})
	}

	require.NoError(s.t, group.Wait())
}

// clear leaves the theater as it was, after a look at the invariants.
func (s *stage) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	if s.witness != nil {
		s.checkInvariants(ctx)
	}

	for _, replica := range s.replicas {
		assert.NoError(s.t, replica.Kill())
	}

	for _, node := range s.nodes {
		if node != nil {
			assert.NoError(s.t, s.cluster.RemoveNode(ctx, node.Node))
			assert.NoError(s.t, s.cluster.Discard(ctx, v1alpha1.ResourceNodeReboots, node.Name()))
		}
	}

	assert.NoError(s.t, s.cluster.Discard(ctx, v1alpha1.ResourceRebootPolicies, s.policy.Name))
	assert.NoError(s.t, s.cluster.Discard(ctx, v1alpha1.ResourceRebootBudgets, v1alpha1.RebootBudgetName))
	assert.NoError(s.t, s.cluster.Apply(ctx, &v1alpha1.RebootBudget{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
		Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 1},
	}))

	// A replica that was killed has left its Lease behind.
	leases := s.cluster.Client().CoordinationV1().Leases(lab.CoordinatorAccount.Namespace)
	assert.NoError(s.t, leases.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))

	if err := s.cluster.Client().CoreV1().Namespaces().Delete(ctx, s.name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		assert.NoError(s.t, err)
	}
}

// checkInvariants is what must hold however a scenario ends.
func (s *stage) checkInvariants(ctx context.Context) {
	s.t.Helper()

	records, err := s.cluster.Audit()
	if !assert.NoError(s.t, err) {
		return
	}

	user := lab.CoordinatorAccount.User()

	assert.Empty(s.t, lab.ForeignCordonsRemoved(records, user))
	assert.LessOrEqual(s.t, s.witness.MaxCordoned(), s.limit, "nodes that the coordinator had cordoned at a time")
	assert.LessOrEqual(s.t, s.witness.MaxSlots(), s.limit, "slots at a time")

	records = slices.DeleteFunc(records, func(record lab.AuditRecord) bool { return record.Time.Before(s.began) })

	if deletes := lab.DeletesPastBudget(records, user); !s.forced {
		assert.Empty(s.t, deletes)
	}

	for _, record := range records {
		if record.User == user && record.Code == http.StatusForbidden {
			assert.Fail(s.t, "the coordinator may not do what it does", "%s %s", record.Verb, record.URI)
		}
	}

	list, err := s.cluster.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if !assert.NoError(s.t, err) || s.t.Failed() {
		return
	}

	for _, object := range list.Items {
		assert.Empty(s.t, object.Annotations[v1alpha1.CordonAnnotation], "the mark on node %q", object.Name)
	}
}

// addReplica starts another replica of the coordinator. Replicas follow each
// other within seconds.
func (s *stage) addReplica(options lab.CoordinatorOptions) *lab.Coordinator {
	s.t.Helper()

	options.Binary = s.binary
	options.Args = append(options.Args, "--lease-duration=3s", "--renew-deadline=2s", "--retry-period=500ms", "--log-format=console")

	replica, err := s.cluster.AddCoordinator(s.ctx, fmt.Sprintf("coordinator-%s-%d", s.name, len(s.replicas)), options)
	require.NoError(s.t, err)

	s.replicas = append(s.replicas, replica)

	return replica
}

// leader waits until one of the replicas leads, and returns it.
func (s *stage) leader() *lab.Coordinator {
	s.t.Helper()

	var found *lab.Coordinator

	require.Eventually(s.t, func() bool {
		for _, replica := range s.replicas {
			if !replica.Running() {
				continue
			}

			if leads, err := replica.Leads(s.ctx); err == nil && leads {
				found = replica

				return true
			}
		}

		return false
	}, 30*time.Second, 100*time.Millisecond, "nobody leads")

	return found
}

// setPolicy changes the RebootPolicy.
func (s *stage) setPolicy(change func(*v1alpha1.RebootPolicySpec)) {
	s.t.Helper()
	change(&s.policy.Spec)
	s.apply(s.policy)
}

// apply makes the objects what they are given as.
func (s *stage) apply(objects ...runtime.Object) {
	s.t.Helper()
	require.NoError(s.t, s.cluster.Apply(s.ctx, objects...))
}

// ask has the node's operating system want a reboot, as a package manager does.
func (s *stage) ask(nodes ...*node) {
	s.t.Helper()

	for _, node := range nodes {
		require.NoError(s.t, os.WriteFile(filepath.Join(node.Root(), "run", "reboot-required"), nil, 0o600))
	}
}

// run applies a workload and waits until so many of its pods are Ready.
func (s *stage) run(workload runtime.Object, ready int) {
	s.t.Helper()
	s.apply(workload)

	object, err := meta.Accessor(workload)
	require.NoError(s.t, err)
	require.Eventually(s.t, func() bool { return len(s.ready(object.GetName())) == ready },
		time.Minute, 100*time.Millisecond, "pods of %q that are Ready", object.GetName())
}

// ready returns the Ready pods of a workload.
func (s *stage) ready(name string) []corev1.Pod {
	list, err := s.cluster.Client().CoreV1().Pods(s.name).List(s.ctx, metav1.ListOptions{LabelSelector: "app=" + name})
	require.NoError(s.t, err)

	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || !lab.IsPodReady(&pod)
	})
}

// app is the workload that a scenario is about.
const app = "app"

// free lets all pods of the application be disrupted, and waits for nothing: they may
// be gone by the time at which that could be seen.
func (s *stage) free() {
	s.t.Helper()
	s.apply(lab.DisruptionBudget(s.name, app, 100))
}

// limitDisruptions applies a PodDisruptionBudget for the application, and waits
// until the disruption controller has computed it.
func (s *stage) limitDisruptions(maxUnavailable int32) {
	s.t.Helper()
	s.apply(lab.DisruptionBudget(s.name, app, maxUnavailable))

	require.Eventually(s.t, func() bool {
		budget, err := s.cluster.Client().PolicyV1().PodDisruptionBudgets(s.name).Get(s.ctx, app, metav1.GetOptions{})
		require.NoError(s.t, err)

		return budget.Status.ObservedGeneration == budget.Generation && budget.Status.DisruptionsAllowed == maxUnavailable
	}, time.Minute, 50*time.Millisecond, "PodDisruptionBudget %q", app)
}

// awaitPhase waits until the node's reboot is in the phase and, if it is given,
// for the reason.
func (s *stage) awaitPhase(node *node, phase v1alpha1.Phase, reason reboot.Reason) *v1alpha1.NodeReboot {
	s.t.Helper()

	return s.awaitReboot(node, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Phase == phase && (reason == "" || r.Status.Reason == string(reason))
	})
}

func (s *stage) awaitReboot(node *node, wanted func(*v1alpha1.NodeReboot) bool) *v1alpha1.NodeReboot {
	s.t.Helper()

	found, err := s.cluster.AwaitReboot(s.ctx, node.Name(), wanted)
	require.NoError(s.t, err)

	return found
}

// awaitRebooted waits until the node was rebooted and is schedulable again.
func (s *stage) awaitRebooted(nodes ...*node) {
	s.t.Helper()

	for _, node := range nodes {
		s.awaitPhase(node, v1alpha1.PhaseDone, "")
		assert.GreaterOrEqual(s.t, len(node.Boots()), 2, "node %q", node.Name())
		node.awaitNode(func(object *corev1.Node) bool {
			return isReady(object) && !object.Spec.Unschedulable && object.Annotations[v1alpha1.CordonAnnotation] == ""
		})
	}
}

// awaitRestored waits until the node was given back: schedulable, unmarked, its
// slot free, and in the boot in which it was.
func (s *stage) awaitRestored(node *node, reason reboot.Reason) {
	s.t.Helper()

	found := s.awaitReboot(node, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Phase == v1alpha1.PhasePending && len(r.Status.Results) > 0
	})
	assert.Equal(s.t, v1alpha1.OutcomeGivenUp, found.Status.Results[0].Outcome)
	assert.Equal(s.t, string(reason), found.Status.Results[0].Reason)

	node.awaitNode(func(object *corev1.Node) bool {
		return !object.Spec.Unschedulable && object.Annotations[v1alpha1.CordonAnnotation] == ""
	})
	s.awaitSlots()
	assert.Len(s.t, node.Boots(), 1)
}

// awaitSlots waits until these nodes and no others hold a slot.
func (s *stage) awaitSlots(nodes ...*node) {
	s.t.Helper()

	_, err := s.cluster.AwaitBudget(s.ctx, func(budget *v1alpha1.RebootBudget) bool {
		if len(budget.Status.Holders) != len(nodes) {
			return false
		}

		for i, holder := range budget.Status.Holders {
			if holder.Node != nodes[i].Name() {
				return false
			}
		}

		return true
	})
	require.NoError(s.t, err)
}

// cordon makes the node unschedulable, or schedulable, as kubectl does.
func (s *stage) cordon(node *node, unschedulable bool) {
	s.t.Helper()

	_, err := s.cluster.Client().CoreV1().Nodes().Patch(s.ctx, node.Name(), types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable), metav1.PatchOptions{})
	require.NoError(s.t, err)
}

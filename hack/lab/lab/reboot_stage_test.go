// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
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
	// binary is what runs in place of rebound; empty for that.
	binary string
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

	s.policy = lab.RebootPolicy(s.name, s.labels())

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
			options = append(options, lab.WithAgent(lab.RebootAgent(cmp.Or(part.binary, binary))))
		}

		group.Go(func() error {
			added, err := s.cluster.AddNode(s.ctx, fmt.Sprintf("%s-%c", s.name, 'a'+i), options...)
			if err != nil {
				return err
			}

			s.nodes[i] = &node{Node: added, scenario: s.scenario}

			return added.AwaitAgent(s.ctx)
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

	var names []string

	for _, node := range s.nodes {
		if node != nil {
			assert.NoError(s.t, s.cluster.RemoveNode(ctx, node.Node))

			names = append(names, node.Name())
		}
	}

	assert.NoError(s.t, s.cluster.ClearReboots(ctx, s.policy.Name, names...))

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

	records = slices.DeleteFunc(records, func(record lab.AuditRecord) bool { return record.Time.Before(s.began) })

	assert.Empty(s.t, lab.CoordinatorViolations(records, s.forced))
	assert.Empty(s.t, s.witness.Exceeded(s.limit))

	if s.t.Failed() {
		return
	}

	marked, err := s.cluster.MarkedNodes(ctx)
	assert.NoError(s.t, err)
	assert.Empty(s.t, marked, "nodes with a mark")
}

// addReplica starts another replica of the coordinator. Replicas follow each
// other within seconds.
func (s *stage) addReplica(options lab.CoordinatorOptions) *lab.Coordinator {
	s.t.Helper()

	options.Binary = s.binary
	options.Args = append(options.Args, lab.PromptElection()...)

	replica, err := s.cluster.AddCoordinator(s.ctx, fmt.Sprintf("coordinator-%s-%d", s.name, len(s.replicas)), options)
	require.NoError(s.t, err)

	s.replicas = append(s.replicas, replica)

	return replica
}

// leader waits until one of the replicas leads, and returns it.
func (s *stage) leader() *lab.Coordinator {
	s.t.Helper()

	ctx, cancel := context.WithTimeoutCause(s.ctx, 30*time.Second, errors.New("nobody leads"))
	defer cancel()

	found, err := lab.AwaitLeader(ctx, s.replicas...)
	require.NoError(s.t, err)

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
		require.NoError(s.t, node.WantReboot())
	}
}

// run applies a workload and waits until so many of its pods are Ready.
func (s *stage) run(workload runtime.Object, ready int) {
	s.t.Helper()
	s.apply(workload)

	object, err := meta.Accessor(workload)
	require.NoError(s.t, err)
	require.NoError(s.t, s.cluster.AwaitReadyPods(s.ctx, s.name, object.GetName(), ready))
}

// ready returns the Ready pods of a workload.
func (s *stage) ready(name string) []corev1.Pod {
	pods, err := s.cluster.ReadyPods(s.ctx, s.name, name)
	require.NoError(s.t, err)

	return pods
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
	require.NoError(s.t, s.cluster.LimitDisruptions(s.ctx, s.name, app, maxUnavailable))
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
		require.NoError(s.t, node.AwaitReturned(s.ctx))
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

	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = node.Name()
	}

	require.NoError(s.t, s.cluster.AwaitSlots(s.ctx, names...))
}

// cordon makes the node unschedulable, or schedulable, as kubectl does.
func (s *stage) cordon(node *node, unschedulable bool) {
	s.t.Helper()

	require.NoError(s.t, node.Cordon(s.ctx, unschedulable))
}

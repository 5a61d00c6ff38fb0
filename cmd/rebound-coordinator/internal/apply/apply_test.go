// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()

	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	require.NoError(t, v1alpha1.AddToScheme(scheme))

	return scheme
}

// cluster is an API server with what is applied to it.
type cluster struct {
	client.WithWatch
	applier *apply.Applier
	told    []apply.Told
	talos   *talosAPI

	mu sync.Mutex
	// writes are the requests that change something, in their order; refuse makes one fail.
	writes []string
	refuse map[string]error
}

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()

	c := &cluster{talos: newTalosAPI(), refuse: map[string]error{}}
	server := fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.NodeReboot{}, &v1alpha1.RebootBudget{}).
		WithIndex(&corev1.Pod{}, read.NodeNameField, read.IndexPod).Build()

	c.WithWatch = interceptor.NewClient(server, interceptor.Funcs{
		Create: func(ctx context.Context, next client.WithWatch, object client.Object, options ...client.CreateOption) error {
			return c.write("create", object, func() error { return next.Create(ctx, object, options...) })
		},
		Patch: func(ctx context.Context, next client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return c.write("patch", object, func() error { return next.Patch(ctx, object, patch, options...) })
		},
		Delete: func(ctx context.Context, next client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return c.write("delete", object, func() error { return next.Delete(ctx, object, options...) })
		},
		SubResourceUpdate: func(ctx context.Context, next client.Client, name string, object client.Object, options ...client.SubResourceUpdateOption) error {
			return c.write(name, object, func() error { return next.SubResource(name).Update(ctx, object, options...) })
		},
	})

	logger := zaptest.NewLogger(t)
	nothing := func() {}
	c.applier = &apply.Applier{
		Store:   store.New(c, server),
		Evictor: apply.NewEvictor(c, 1, nothing, logger),
		Talos:   apply.NewTalos(c.talos, nothing, logger),
		Told:    func(told apply.Told) { c.mu.Lock(); defer c.mu.Unlock(); c.told = append(c.told, told) },
		Logger:  logger,
	}

	return c
}

func (c *cluster) write(verb string, object client.Object, send func() error) error {
	kind := map[bool]string{true: "node"}[isNode(object)]

	switch object.(type) {
	case *v1alpha1.NodeReboot:
		kind = "reboot"
	case *v1alpha1.RebootBudget:
		kind = "budget"
	}

	name := verb + " " + kind + " " + object.GetName()

	c.mu.Lock()
	err := c.refuse[name]
	c.mu.Unlock()

	if err == nil {
		err = send()
	}

	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()

		c.writes = append(c.writes, name)
	}

	return err
}

func isNode(object client.Object) bool {
	_, ok := object.(*corev1.Node)

	return ok
}

func (c *cluster) read(t *testing.T) *read.Snapshot {
	t.Helper()

	snapshot, err := (&read.Reader{Client: c, Objects: c.applier.Store}).Read(t.Context())
	require.NoError(t, err)

	return snapshot
}

// apply applies a decision to what is read now, or was read before.
func (c *cluster) apply(t *testing.T, snapshot *read.Snapshot, decision reboot.Decision) (stale bool) {
	t.Helper()

	stale, err := c.applier.Apply(t.Context(), snapshot, &decision)
	require.NoError(t, err)

	return stale
}

func (c *cluster) node(t *testing.T) *corev1.Node {
	t.Helper()

	var node corev1.Node

	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Name: "a"}, &node))

	return &node
}

func (c *cluster) reboot(t *testing.T) *v1alpha1.NodeReboot {
	t.Helper()

	var object v1alpha1.NodeReboot

	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Name: "a"}, &object))

	return &object
}

func (c *cluster) holders(t *testing.T) []string {
	t.Helper()

	var budget v1alpha1.RebootBudget

	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Name: v1alpha1.RebootBudgetName}, &budget))

	names := make([]string, 0, len(budget.Status.Holders))
	for _, holder := range budget.Status.Holders {
		names = append(names, holder.Node)
	}

	return names
}

// submitted are the pods for which something waits for a worker.
func (c *cluster) submitted() []string {
	var uids []string

	for uid, eviction := range c.applier.Evictor.Evictions(func(string) bool { return true }) {
		if eviction.InFlight {
			uids = append(uids, uid)
		}
	}

	slices.Sort(uids)

	return uids
}

// change changes an object as somebody else would, so that what was read before is old.
func (c *cluster) change(t *testing.T, object client.Object) {
	t.Helper()

	require.NoError(t, c.WithWatch.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"changed":"yes"}}}`))))

	c.mu.Lock()
	defer c.mu.Unlock()

	c.writes = nil
}

func newNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("node-" + name), Annotations: map[string]string{}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: "10.0.0." + name},
		}},
	}
}

func newReboot(name string, phase v1alpha1.Phase) *v1alpha1.NodeReboot {
	return &v1alpha1.NodeReboot{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Finalizers: []string{v1alpha1.Finalizer}},
		Status:     v1alpha1.NodeRebootStatus{Phase: phase, Attempt: 1},
	}
}

func newBudget(holders ...string) *v1alpha1.RebootBudget {
	budget := &v1alpha1.RebootBudget{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName, UID: "budget"}}

	for _, name := range holders {
		budget.Status.Holders = append(budget.Status.Holders, v1alpha1.SlotHolder{
			Node: name, UID: types.UID("uid-" + name), Attempt: 1, Since: metav1.NewTime(at),
		})
	}

	budget.Status.HeldBy = apply.HeldBy(budget.Status.Holders)

	return budget
}

func holder(name string) reboot.Holder {
	return reboot.Holder{UID: "uid-" + name, Attempt: 1, Since: at}
}

// unchanged is what leaves a reboot in its phase.
func unchanged(phase reboot.Phase) reboot.Next {
	return reboot.Next{Status: reboot.Status{Phase: phase, Attempt: 1}, Finalizer: true}
}

func podAction(uid string) reboot.PodAction {
	return reboot.PodAction{Pod: reboot.Pod{Namespace: "shop", Name: "pod-" + uid, UID: uid}}
}

func TestTheStatusIsWrittenBeforeAnythingElse(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseCordoned), newBudget())

	next := unchanged(reboot.PhaseCordoned)
	next.Status.Reason = reboot.ReasonDraining
	next.Cordon = "uid-a/1"

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{
		Holders: map[string]reboot.Holder{"a": holder("a")}, Reboots: map[string]reboot.Next{"a": next},
	}))
	assert.Equal(t, []string{"status budget default", "status reboot a", "patch node a"}, c.writes)
	assert.True(t, c.node(t).Spec.Unschedulable)
	assert.Equal(t, "uid-a/1", c.node(t).Annotations[v1alpha1.CordonAnnotation])

	require.Len(t, c.told, 1)
	assert.Empty(t, c.told[0].Was.Reason)
	assert.Equal(t, reboot.ReasonDraining, c.told[0].Now.Reason)
}

func TestWhatIsAsItShouldBeIsNotWritten(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseCordoned), newBudget("a"))

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{
		Holders: map[string]reboot.Holder{"a": holder("a")}, Reboots: map[string]reboot.Next{"a": unchanged(reboot.PhaseCordoned)},
	}))
	assert.Empty(t, c.writes)
	assert.Empty(t, c.told)
}

func TestNothingFollowsAStatusThatIsAConflict(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseGranted), newNode("b"), newReboot("b", v1alpha1.PhaseCordoned))
	snapshot := c.read(t)
	c.change(t, newReboot("a", ""))

	lost := unchanged(reboot.PhaseGranted)
	lost.Status.Message = "news"
	lost.Grant, lost.CallTalos, lost.Pods = "boot-1", true, []reboot.PodAction{podAction("p1")}

	other := unchanged(reboot.PhaseCordoned)
	other.Status.Message = "news"
	other.Cordon = "uid-b/1"

	assert.True(t, c.apply(t, snapshot, reboot.Decision{Reboots: map[string]reboot.Next{"a": lost, "b": other}}))
	assert.Equal(t, []string{"status reboot b", "patch node b"}, c.writes)
	assert.Empty(t, c.submitted())
	assert.Empty(t, c.applier.Talos.Answers(func(string) bool { return true }))
	require.Len(t, c.told, 1)
	assert.Equal(t, "b", c.told[0].Object.Name)
}

func TestACordonOfANodeThatChangedIsAConflict(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseCordoned))
	snapshot := c.read(t)
	c.change(t, newNode("a"))

	next := unchanged(reboot.PhaseCordoned)
	next.Cordon = "uid-a/1"

	assert.True(t, c.apply(t, snapshot, reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))
	assert.False(t, c.node(t).Spec.Unschedulable)
	assert.Empty(t, c.node(t).Annotations)
}

func TestARestoreTakesAwayWhatIsOurs(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		mark          string
		unschedulable bool
	}{
		"a cordon with our mark goes":          {"uid-a/1", false},
		"a cordon of somebody else is left":    {"", true},
		"a mark of an earlier attempt is ours": {"uid-a/0", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			node := newNode("a")
			node.Spec.Unschedulable = true
			node.Annotations["example.com/other"] = "stays"
			node.Annotations[v1alpha1.GrantAnnotation] = "a grant"

			if test.mark != "" {
				node.Annotations[v1alpha1.CordonAnnotation] = test.mark
			}

			c := newCluster(t, node, newReboot("a", v1alpha1.PhaseRestoring))
			next := unchanged(reboot.PhaseRestoring)
			next.Restore = "uid-a/1"

			assert.False(t, c.apply(t, c.read(t), reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))
			assert.Equal(t, test.unschedulable, c.node(t).Spec.Unschedulable)
			assert.Equal(t, map[string]string{"example.com/other": "stays", v1alpha1.RestoredAnnotation: "uid-a/1"}, c.node(t).Annotations)
		})
	}
}

func TestAGrantNamesTheBoot(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseGranted))
	next := unchanged(reboot.PhaseGranted)
	next.Grant = "boot-1"

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))

	grant, err := v1alpha1.ParseGrant(c.node(t).Annotations[v1alpha1.GrantAnnotation])
	require.NoError(t, err)
	assert.Equal(t, v1alpha1.Grant{UID: "uid-a", BootID: "boot-1"}, grant)
	assert.Empty(t, c.applier.Talos.Answers(func(string) bool { return true }), "nobody asked for that")
}

func TestTheTalosAPIIsCalledOnceTheGrantIsOnRecord(t *testing.T) {
	t.Parallel()

	next := unchanged(reboot.PhaseGranted)
	next.Grant, next.CallTalos = "boot-1", true

	for name, test := range map[string]struct {
		refusal error
		called  bool
	}{
		"the grant was written":      {nil, true},
		"the node has changed":       {apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, "a", nil), false},
		"the API server has refused": {apierrors.NewInternalError(errors.New("no")), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseGranted))
			c.refuse["patch node a"] = test.refusal

			_, _ = c.applier.Apply(t.Context(), c.read(t), &reboot.Decision{Reboots: map[string]reboot.Next{"a": next}})

			answers := c.applier.Talos.Answers(func(string) bool { return true })
			assert.Equal(t, test.called, answers["a"].InFlight)

			if test.called {
				assert.Equal(t, "uid-a/1", answers["a"].Attempt)
			}
		})
	}
}

func TestANodeThatIsGoneGetsNothing(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newReboot("a", v1alpha1.PhaseGranted))
	next := unchanged(reboot.PhaseGranted)
	next.Grant, next.CallTalos, next.Cordon, next.Restore = "boot-1", true, "m", "m"

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))
	assert.Empty(t, c.writes)
}

func TestTheFinalizerComesAndGoes(t *testing.T) {
	t.Parallel()

	object := newReboot("a", v1alpha1.PhasePending)
	object.Finalizers = []string{"example.com/other"}

	c := newCluster(t, newNode("a"), object)

	next := unchanged(reboot.PhasePending)
	next.Status.Reason = reboot.ReasonNext
	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))
	assert.Equal(t, []string{"example.com/other", v1alpha1.Finalizer}, c.reboot(t).Finalizers)
	assert.Equal(t, []string{"status reboot a", "patch reboot a"}, c.writes)

	next.Finalizer = false
	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))
	assert.Equal(t, []string{"example.com/other"}, c.reboot(t).Finalizers)
}

func TestASlotOfWhatIsNotInTheCacheIsNotGivenAway(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newNode("b"), newReboot("b", v1alpha1.PhasePending), newBudget("a"))

	// The cache does not have the NodeReboot of a yet. So b has got the only slot.
	snapshot := c.read(t)
	require.NoError(t, c.Create(t.Context(), newReboot("a", "")))

	stale := c.apply(t, snapshot, reboot.Decision{Holders: map[string]reboot.Holder{"b": holder("b")}})
	assert.True(t, stale)
	assert.Equal(t, []string{"a"}, c.holders(t))
}

func TestASlotOfWhatIsGoneIsGivenAway(t *testing.T) {
	t.Parallel()

	for name, live := range map[string]*v1alpha1.NodeReboot{
		"there is none":                 nil,
		"there is another of that name": {ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := newCluster(t, newNode("b"), newReboot("b", v1alpha1.PhasePending), newBudget("a"))
			snapshot := c.read(t)

			if live != nil {
				require.NoError(t, c.Create(t.Context(), live))
			}

			assert.False(t, c.apply(t, snapshot, reboot.Decision{Holders: map[string]reboot.Holder{"b": holder("b")}, Waiting: 1}))
			assert.Equal(t, []string{"b"}, c.holders(t))
		})
	}
}

func TestTheLastSlotCannotBeTakenTwice(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newNode("b"), newReboot("a", v1alpha1.PhasePending), newReboot("b", v1alpha1.PhasePending), newBudget())
	other := &apply.Applier{Store: store.New(c, c), Evictor: c.applier.Evictor, Told: func(apply.Told) {}, Logger: c.applier.Logger}
	snapshot := c.read(t)

	assert.False(t, c.apply(t, snapshot, reboot.Decision{Holders: map[string]reboot.Holder{"a": holder("a")}}))

	stale, err := other.Apply(t.Context(), snapshot, &reboot.Decision{Holders: map[string]reboot.Holder{"b": holder("b")}})
	require.NoError(t, err)
	assert.True(t, stale)
	assert.Equal(t, []string{"a"}, c.holders(t))
}

func TestAStrayIsRestoredIfTheAPIServerAgrees(t *testing.T) {
	t.Parallel()

	stray := func() *corev1.Node {
		node := newNode("a")
		node.Spec.Unschedulable = true
		node.Annotations[v1alpha1.CordonAnnotation] = "uid-a/1"

		return node
	}

	for name, test := range map[string]struct {
		live     *v1alpha1.NodeReboot
		restored bool
	}{
		"there is no NodeReboot":    {nil, true},
		"it waits":                  {newReboot("a", v1alpha1.PhasePending), true},
		"it is done":                {newReboot("a", v1alpha1.PhaseDone), true},
		"it is under way after all": {newReboot("a", v1alpha1.PhaseCordoned), false},
		"it is down after all":      {newReboot("a", v1alpha1.PhaseGranted), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := newCluster(t, stray())
			snapshot := c.read(t)

			if test.live != nil {
				live := test.live.DeepCopy()
				require.NoError(t, c.Create(t.Context(), live))

				live.Status = test.live.Status
				require.NoError(t, c.Status().Update(t.Context(), live))
			}

			assert.False(t, c.apply(t, snapshot, reboot.Decision{Strays: []string{"a"}}))
			assert.Equal(t, !test.restored, c.node(t).Spec.Unschedulable)
		})
	}
}

func TestAStrayGrantGoesWithoutAMark(t *testing.T) {
	t.Parallel()

	node := newNode("a")
	node.Spec.Unschedulable = true
	node.Annotations = map[string]string{v1alpha1.GrantAnnotation: "{", v1alpha1.RestoredAnnotation: "uid-a/1"}

	c := newCluster(t, node)

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Strays: []string{"a"}}))
	assert.Equal(t, map[string]string{v1alpha1.RestoredAnnotation: "uid-a/1"}, c.node(t).Annotations)
	assert.True(t, c.node(t).Spec.Unschedulable, "that cordon is not ours")
}

func TestAWishBecomesANodeReboot(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"))
	snapshot := c.read(t)
	decision := reboot.Decision{Wishes: []reboot.Wish{{Node: "a", Reason: "a new kernel", At: at}}}

	assert.False(t, c.apply(t, snapshot, decision))
	assert.Equal(t, "a new kernel", c.reboot(t).Spec.Reason)
	assert.Equal(t, map[string]string{v1alpha1.OriginLabel: v1alpha1.OriginNode}, c.reboot(t).Labels)
	assert.Empty(t, c.reboot(t).Finalizers)
	require.Len(t, c.reboot(t).OwnerReferences, 1)
	assert.Equal(t, c.node(t).UID, c.reboot(t).OwnerReferences[0].UID)

	// The cache lags behind.
	assert.False(t, c.apply(t, snapshot, decision))
}

func TestAWishOfADoneRebootAsksAnew(t *testing.T) {
	t.Parallel()

	object := newReboot("a", v1alpha1.PhaseDone)
	object.Labels = map[string]string{"example.com/team": "stays"}
	object.Spec = v1alpha1.NodeRebootSpec{
		Reason: "old", Priority: new(int32(9)), NotBefore: new(metav1.NewTime(at)), Force: true, Suspend: true,
	}

	c := newCluster(t, newNode("a"), object)

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{
		Wishes: []reboot.Wish{{Node: "a", Reason: "a new kernel", At: at.Add(time.Hour), UID: "uid-a"}},
	}))

	got := c.reboot(t)
	require.NotNil(t, got.Spec.RequestedAt)
	assert.True(t, got.Spec.RequestedAt.Equal(new(metav1.NewTime(at.Add(time.Hour)))))
	assert.Equal(t, map[string]string{"example.com/team": "stays", v1alpha1.OriginLabel: v1alpha1.OriginNode}, got.Labels)

	got.Spec.RequestedAt = nil
	assert.Equal(t, v1alpha1.NodeRebootSpec{Reason: "a new kernel", Suspend: true}, got.Spec, "who suspends means every reboot")
	assert.Equal(t, v1alpha1.PhaseDone, got.Status.Phase)
}

func TestAWithdrawnWishIsDeletedAsItWasRead(t *testing.T) {
	t.Parallel()

	object := newReboot("a", v1alpha1.PhasePending)
	object.Finalizers = nil

	c := newCluster(t, newNode("a"), object)

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Withdrawn: []string{"a"}}))
	assert.Equal(t, []string{"delete reboot a"}, c.writes)
}

func TestOneFailureDoesNotKeepTheRestFromBeingDone(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newBudget(), newNode("a"), newNode("b"), newReboot("a", v1alpha1.PhaseCordoned), newReboot("b", v1alpha1.PhaseCordoned))
	broken := apierrors.NewInternalError(errors.New("webhook"))
	c.refuse["status budget default"], c.refuse["patch node a"] = broken, broken

	first, second := unchanged(reboot.PhaseCordoned), unchanged(reboot.PhaseCordoned)
	first.Cordon, second.Cordon = "uid-a/1", "uid-b/1"

	stale, err := c.applier.Apply(t.Context(), c.read(t), &reboot.Decision{
		Holders: map[string]reboot.Holder{"a": holder("a")}, Reboots: map[string]reboot.Next{"a": first, "b": second},
	})
	assert.False(t, stale)
	require.ErrorContains(t, err, `failed to write the slots of RebootBudget "default"`)
	require.ErrorContains(t, err, `failed to cordon node "a"`)
	assert.Equal(t, []string{"patch node b"}, c.writes)
}

func TestWhatIsUnderWayIsWrittenBeforeTheQueue(t *testing.T) {
	t.Parallel()

	at := func(place int) reboot.Next { return reboot.Next{Status: reboot.Status{Place: place}} }

	assert.Equal(t, []string{"y", "z", "b", "c", "a"}, apply.InOrder(map[string]reboot.Next{
		"a": at(3), "b": at(1), "c": at(2), "y": at(0), "z": at(0),
	}))
}

func TestPodsAreHandedToTheEvictor(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a"), newReboot("a", v1alpha1.PhaseCordoned))
	next := unchanged(reboot.PhaseCordoned)
	next.Pods = []reboot.PodAction{podAction("p1"), podAction("p2")}

	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Reboots: map[string]reboot.Next{"a": next}}))
	assert.Equal(t, []string{"p1", "p2"}, c.submitted())
}

func TestChecksGoToTheAddressesOfTheNodes(t *testing.T) {
	t.Parallel()

	control := func(name, os string) *corev1.Node {
		node := newNode(name)
		node.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
		node.Status.NodeInfo.OSImage = os

		return node
	}

	c := newCluster(t, control("1", "Talos (v1.13.9)"), control("2", "Talos (v1.13.9)"), control("3", "Debian"), newNode("4"))
	assert.False(t, c.apply(t, c.read(t), reboot.Decision{Checks: []string{"1", "4"}}))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)

	go func() { done <- c.applier.Talos.Start(ctx) }()

	asked := []string{<-c.talos.asked, <-c.talos.asked, <-c.talos.asked}
	slices.Sort(asked)
	assert.Equal(t, []string{"check 1 10.0.0.1", "check 4 10.0.0.4", "etcd [10.0.0.2]"}, asked)

	cancel()
	require.NoError(t, <-done)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// cluster is an API server, and a cache of it that stands still until it is told to catch up.
type cluster struct {
	server client.WithWatch
	cache  client.WithWatch
	scheme *runtime.Scheme
	store  *store.Store
}

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()

	c := &cluster{scheme: runtime.NewScheme()}
	require.NoError(t, clientgoscheme.AddToScheme(c.scheme))
	require.NoError(t, v1alpha1.AddToScheme(c.scheme))

	c.server = fake.NewClientBuilder().WithScheme(c.scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.NodeReboot{}, &v1alpha1.RebootBudget{}).Build()
	c.catchUp(t)

	lagging := interceptor.NewClient(c.server, interceptor.Funcs{
		List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			return c.cache.List(ctx, list, options...)
		},
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("the cache is not to be asked for a single object")
		},
	})
	c.store = store.New(lagging, c.server)

	return c
}

// catchUp makes the cache have what the API server has.
func (c *cluster) catchUp(t *testing.T) {
	t.Helper()

	builder := fake.NewClientBuilder().WithScheme(c.scheme)

	for _, list := range []client.ObjectList{&corev1.NodeList{}, &v1alpha1.NodeRebootList{}, &v1alpha1.RebootBudgetList{}} {
		require.NoError(t, c.server.List(t.Context(), list))
		builder.WithLists(list)
	}

	c.cache = builder.Build()
}

func (c *cluster) node(t *testing.T) *corev1.Node {
	t.Helper()

	nodes, err := c.store.Nodes(t.Context())
	require.NoError(t, err)
	require.Len(t, nodes, 1)

	return nodes[0]
}

func (c *cluster) reboot(t *testing.T) *v1alpha1.NodeReboot {
	t.Helper()

	reboots, err := c.store.Reboots(t.Context())
	require.NoError(t, err)
	require.Len(t, reboots, 1)

	return reboots[0]
}

func (c *cluster) mark(ctx context.Context, node *corev1.Node, value any) error {
	return c.store.Patch(ctx, node, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{v1alpha1.CordonAnnotation: value}},
	})
}

func (c *cluster) setPhase(ctx context.Context, object *v1alpha1.NodeReboot, phase v1alpha1.Phase) error {
	changed := object.DeepCopy()
	changed.Status.Phase = phase

	return c.store.WriteStatus(ctx, changed)
}

// touch changes the node as somebody else would.
func (c *cluster) touch(t *testing.T, name string) {
	t.Helper()

	require.NoError(t, c.server.Patch(t.Context(), newNode(name, ""), client.RawPatch(types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"touched":"yes"}}}`))))
}

func newNode(name string, uid types.UID) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}
}

func newReboot(uid types.UID) *v1alpha1.NodeReboot {
	return &v1alpha1.NodeReboot{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: uid}}
}

func TestOwnWritesAreReadBackBeforeTheCacheHasThem(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"), newReboot("r1"),
		&v1alpha1.RebootBudget{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName, UID: "b1"}})

	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/1"))
	assert.Equal(t, "r1/1", c.node(t).Annotations[v1alpha1.CordonAnnotation])

	require.NoError(t, c.setPhase(t.Context(), c.reboot(t), v1alpha1.PhaseCordoned))
	assert.Equal(t, v1alpha1.PhaseCordoned, c.reboot(t).Status.Phase)

	budget, err := c.store.Budget(t.Context())
	require.NoError(t, err)

	budget = budget.DeepCopy()
	budget.Status.Waiting = 3
	require.NoError(t, c.store.WriteStatus(t.Context(), budget))

	budget, err = c.store.Budget(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 3, budget.Status.Waiting)

	// What follows rests on what was written, so it gets through.
	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/2"))
	require.NoError(t, c.setPhase(t.Context(), c.reboot(t), v1alpha1.PhaseDrained))
}

func TestACacheThatCatchesUpHalfwayDoesNotWin(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"))

	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/1"))
	c.catchUp(t)
	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/2"))

	assert.Equal(t, "r1/2", c.node(t).Annotations[v1alpha1.CordonAnnotation])
}

func TestANewerCacheWins(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"))

	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/1"))
	c.touch(t, "a")
	assert.Empty(t, c.node(t).Labels, "the cache does not know yet")

	c.catchUp(t)
	assert.Equal(t, "yes", c.node(t).Labels["touched"])
}

func TestAVersionOfTenIsNewerThanOneOfNine(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"))

	for range 20 {
		require.NoError(t, c.mark(t.Context(), c.node(t), "r1/1"))
		c.catchUp(t)
		c.touch(t, "a")
		require.Error(t, c.mark(t.Context(), c.node(t), "r1/2"))
		c.catchUp(t)
	}
}

func TestAnObjectThatWasMadeAnewIsAnother(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newReboot("r1"))

	old := c.reboot(t)
	require.NoError(t, c.setPhase(t.Context(), old, v1alpha1.PhaseCordoned))

	require.NoError(t, c.server.Delete(t.Context(), newReboot("")))
	require.NoError(t, c.server.Create(t.Context(), newReboot("r2")))
	c.catchUp(t)

	assert.EqualValues(t, "r2", c.reboot(t).UID)
	assert.Empty(t, c.reboot(t).Status.Phase)
}

func TestAWriteToWhatHasChangedIsAConflict(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"), newReboot("r1"))

	c.touch(t, "a")
	require.NoError(t, c.server.Patch(t.Context(), newReboot(""), client.RawPatch(types.MergePatchType,
		[]byte(`{"spec":{"suspend":true}}`))))

	assert.True(t, apierrors.IsConflict(c.mark(t.Context(), c.node(t), "r1/1")))
	assert.True(t, apierrors.IsConflict(c.setPhase(t.Context(), c.reboot(t), v1alpha1.PhaseCordoned)))

	// Nothing is remembered of what has failed.
	assert.Empty(t, c.node(t).Annotations)
	assert.Empty(t, c.reboot(t).Status.Phase)
}

func TestADeleteOfWhatHasChangedIsAConflict(t *testing.T) {
	t.Parallel()

	var got *metav1.Preconditions

	c := newCluster(t, newReboot("r1"))
	s := store.New(interceptor.NewClient(c.server, interceptor.Funcs{
		Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, options ...client.DeleteOption) error {
			var asked client.DeleteOptions

			asked.ApplyOptions(options)
			got = asked.Preconditions

			return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource(v1alpha1.ResourceNodeReboots).GroupResource(), "a")
		},
	}), c.server)

	object := c.reboot(t)
	require.NoError(t, s.Delete(t.Context(), object), "that it is gone is no error")
	require.NotNil(t, got)
	assert.Equal(t, object.UID, *got.UID)
	assert.Equal(t, object.ResourceVersion, *got.ResourceVersion)
}

// The fake API server does not know about preconditions in a patch, so what is sent is looked at.
func TestAPatchNamesTheObjectThatWasRead(t *testing.T) {
	t.Parallel()

	var sent string

	c := newCluster(t, newNode("a", "n1"))
	s := store.New(interceptor.NewClient(c.server, interceptor.Funcs{
		Patch: func(_ context.Context, _ client.WithWatch, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
			text, err := patch.Data(object)
			sent = string(text)

			return err
		},
	}), c.server)

	node := c.node(t)
	require.NoError(t, s.Patch(t.Context(), node, map[string]any{"spec": map[string]any{"unschedulable": nil}}))
	assert.JSONEq(t, `{"metadata":{"uid":"n1","resourceVersion":"`+node.ResourceVersion+`"},"spec":{"unschedulable":null}}`, sent)
}

func TestAPatchRemovesWhatIsNil(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"))

	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/1"))
	require.NoError(t, c.mark(t.Context(), c.node(t), nil))
	c.catchUp(t)
	assert.NotContains(t, c.node(t).Annotations, v1alpha1.CordonAnnotation)
}

func TestWhatWasReadIsNotChangedByAWrite(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"))
	read := c.node(t)
	before := read.DeepCopy()

	require.NoError(t, c.mark(t.Context(), read, "r1/1"))
	assert.Equal(t, before, read)
}

func TestForgetDropsWhatIsGone(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newNode("a", "n1"))

	require.NoError(t, c.mark(t.Context(), c.node(t), "r1/1"))

	c.store.Forget(func(uid types.UID) bool { return uid == "n1" })
	assert.NotEmpty(t, c.node(t).Annotations)

	c.store.Forget(func(types.UID) bool { return false })
	assert.Empty(t, c.node(t).Annotations, "it was remembered still")
}

func TestLiveAsksTheAPIServer(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	found, err := c.store.Live(t.Context(), "a")
	require.NoError(t, err)
	assert.Nil(t, found)

	require.NoError(t, c.server.Create(t.Context(), newReboot("r1")))

	found, err = c.store.Live(t.Context(), "a")
	require.NoError(t, err)
	require.NotNil(t, found)
	assert.EqualValues(t, "r1", found.UID)
}

func TestCreateOfWhatIsThereIsNoError(t *testing.T) {
	t.Parallel()

	c := newCluster(t, newReboot("r1"))

	require.NoError(t, c.store.Create(t.Context(), newReboot("")))
	assert.EqualValues(t, "r1", c.reboot(t).UID)
}

func TestReadsAndWritesEndWithTheContext(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	hang := func(ctx context.Context) error {
		_, bounded := ctx.Deadline()
		assert.True(t, bounded, "a server that does not answer would hold it up for ever")
		cancel()
		<-ctx.Done()

		return ctx.Err()
	}

	c := newCluster(t, newNode("a", "n1"))
	s := store.New(interceptor.NewClient(c.server, interceptor.Funcs{
		Patch: func(ctx context.Context, _ client.WithWatch, _ client.Object, _ client.Patch, _ ...client.PatchOption) error {
			return hang(ctx)
		},
	}), c.server)

	require.ErrorIs(t, s.Patch(ctx, c.node(t), map[string]any{}), context.Canceled)
}

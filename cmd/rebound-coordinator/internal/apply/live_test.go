// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func newClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()

	scheme := runtime.NewScheme()
	require.NoError(t, corev1.AddToScheme(scheme))
	require.NoError(t, policyv1.AddToScheme(scheme))
	require.NoError(t, v1alpha1.AddToScheme(scheme))

	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, read.NodeNameField, read.IndexPod).
		WithStatusSubresource(&v1alpha1.RebootBudget{}, &v1alpha1.NodeReboot{}).Build()
}

// nodeReboot is that of node a.
func nodeReboot(uid types.UID, phase v1alpha1.Phase) *v1alpha1.NodeReboot {
	return &v1alpha1.NodeReboot{
		ObjectMeta: metav1.ObjectMeta{Name: "a", UID: uid},
		Status:     v1alpha1.NodeRebootStatus{Phase: phase, Attempt: 1},
	}
}

// snapshot returns what the API server has of the objects at present.
func snapshot(t *testing.T, c client.Client) *read.Snapshot {
	t.Helper()

	s, err := (&read.Reader{Client: c, Objects: store.New(c, c)}).Read(t.Context())
	require.NoError(t, err)

	return s
}

func applier(c client.Client) *apply.Applier {
	return &apply.Applier{Store: store.New(c, c), Told: func(apply.Told) {}, Logger: zap.NewNop()}
}

func get[T client.Object](t *testing.T, c client.Client, name string, object T) T {
	t.Helper()

	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Name: name}, object))

	return object
}

func TestANodeIsNotWrittenForAnAttemptThatIsOver(t *testing.T) {
	t.Parallel()

	c := newClient(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, nodeReboot("ua", v1alpha1.PhaseCordoned))
	s := snapshot(t, c)
	was := reboot.Next{Status: s.Facts.Reboots["a"].Status}

	// Another coordinator gives the node back, and the Node is known as it is after that.
	over := get(t, c, "a", &v1alpha1.NodeReboot{})
	over.Status.Phase = v1alpha1.PhasePending
	require.NoError(t, c.Status().Update(t.Context(), over))

	for _, next := range []reboot.Next{
		{Status: was.Status, Cordon: "ua/1"}, {Status: was.Status, Grant: "a1"}, {Status: was.Status, Restore: "ua/1"},
	} {
		stale, err := applier(c).Apply(t.Context(), s, &reboot.Decision{Reboots: map[string]reboot.Next{"a": next}})
		require.NoError(t, err)
		assert.True(t, stale)

		node := get(t, c, "a", &corev1.Node{})
		assert.False(t, node.Spec.Unschedulable)
		assert.Empty(t, node.Annotations)
	}
}

func TestANodeIsWrittenInTheStepThatIsOnRecord(t *testing.T) {
	t.Parallel()

	c := newClient(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, nodeReboot("ua", v1alpha1.PhaseCordoned))
	s := snapshot(t, c)
	next := reboot.Next{Status: s.Facts.Reboots["a"].Status, Cordon: "ua/1"}

	stale, err := applier(c).Apply(t.Context(), s, &reboot.Decision{Reboots: map[string]reboot.Next{"a": next}})
	require.NoError(t, err)
	assert.False(t, stale)
	assert.True(t, get(t, c, "a", &corev1.Node{}).Spec.Unschedulable)
}

func TestASlotIsNotGivenAwayWhileItsNodeRebootIsThere(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name  string
		known *v1alpha1.NodeReboot
	}{
		{"that is not known yet", nil},
		{"that is known as the one before it", nodeReboot("u0", "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			holder := v1alpha1.SlotHolder{Node: "a", UID: "ua", Attempt: 1, Policy: "all", Step: v1alpha1.PhasePending}
			c := newClient(t, nodeReboot("ua", ""), &v1alpha1.RebootBudget{
				ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
				Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 1},
				Status:     v1alpha1.RebootBudgetStatus{Holders: []v1alpha1.SlotHolder{holder}},
			})

			s := snapshot(t, c)
			delete(s.Facts.Reboots, "a")

			if tc.known != nil {
				s.Facts.Reboots["a"] = reboot.Reboot{UID: string(tc.known.UID)}
			}

			for _, holders := range []map[string]reboot.Holder{
				{}, {"b": {UID: "ub", Attempt: 1}}, {"a": {UID: "u0", Attempt: 1}},
			} {
				stale, err := applier(c).Apply(t.Context(), s, &reboot.Decision{Holders: holders})
				require.NoError(t, err)
				assert.True(t, stale)
				assert.Equal(t, []v1alpha1.SlotHolder{holder}, get(t, c, v1alpha1.RebootBudgetName, &v1alpha1.RebootBudget{}).Status.Holders)
			}
		})
	}
}

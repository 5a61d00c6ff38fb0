// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kubereboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const node = "worker-a"

func start(t *testing.T) (*ctest.Kubernetes, *kubereboot.Client) {
	t.Helper()

	api := ctest.NewKubernetes(t)
	api.InstallReboots()

	return api, open(t, api)
}

func open(t *testing.T, api *ctest.Kubernetes) *kubereboot.Client {
	t.Helper()

	client, err := kubereboot.Open(api.Kubeconfig(t), "")
	require.NoError(t, err)
	t.Cleanup(client.Close)

	return client
}

func newReboot(changes ...func(*v1alpha1.NodeReboot)) *v1alpha1.NodeReboot {
	reboot := &v1alpha1.NodeReboot{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "NodeReboot"},
		ObjectMeta: metav1.ObjectMeta{Name: node, UID: "uid"},
	}

	for _, change := range changes {
		change(reboot)
	}

	return reboot
}

// always wants the same, whatever is there.
func always(wanted *v1alpha1.NodeReboot) kubereboot.Decide {
	return func(*v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, error) { return wanted, nil }
}

var errTooLate = errors.New("too late")

// unlessGranted deletes what is not granted.
func unlessGranted(current *v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, error) {
	if current != nil && current.Status.Phase == v1alpha1.PhaseGranted {
		return nil, errTooLate
	}

	return nil, nil
}

func TestSettleCreatesChangesAndDeletes(t *testing.T) {
	t.Parallel()

	api, client := start(t)

	made, err := client.Settle(t.Context(), node, nil, always(newReboot()))
	require.NoError(t, err)
	assert.NotEmpty(t, made.UID)
	assert.WithinDuration(t, time.Now(), made.CreationTimestamp.Time, time.Minute)

	changed := made.DeepCopy()
	changed.Spec.Reason = "firmware"

	changed, err = client.Settle(t.Context(), node, made, always(changed))
	require.NoError(t, err)
	assert.Equal(t, "firmware", api.Reboot(node).Spec.Reason)
	assert.NotEqual(t, made.ResourceVersion, changed.ResourceVersion)

	same, err := client.Settle(t.Context(), node, changed, always(changed))
	require.NoError(t, err)
	assert.Equal(t, changed.ResourceVersion, same.ResourceVersion, "nothing was to be written")

	gone, err := client.Settle(t.Context(), node, changed, always(nil))
	require.NoError(t, err)
	assert.Nil(t, gone)
	assert.Nil(t, api.Reboot(node))

	gone, err = client.Settle(t.Context(), node, nil, always(nil))
	require.NoError(t, err)
	assert.Nil(t, gone)
}

func TestSettleLeavesWhatOthersWrote(t *testing.T) {
	t.Parallel()

	api, client := start(t)
	api.SetReboot(newReboot(func(r *v1alpha1.NodeReboot) {
		r.Labels = map[string]string{"team": "infra", v1alpha1.OriginLabel: v1alpha1.OriginNode}
		r.Spec.Priority, r.Spec.Suspend = new(int32(7)), true
	}))

	// The other one changes what this one leaves alone, so the second try has it too.
	api.BeforeWrite(func() {
		api.ChangeReboot(node, func(r *v1alpha1.NodeReboot) { r.Spec.Reason, r.Status.Place = "updates", 3 })
	})

	tries := 0

	settled, err := client.Settle(t.Context(), node, api.Reboot(node), func(current *v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, error) {
		tries++
		wanted := current.DeepCopy()
		wanted.Spec.Suspend = false

		delete(wanted.Labels, v1alpha1.OriginLabel)

		return wanted, nil
	})
	require.NoError(t, err)
	assert.Equal(t, 2, tries)
	assert.Equal(t, v1alpha1.NodeRebootSpec{Priority: new(int32(7)), Reason: "updates"}, settled.Spec)
	assert.Equal(t, map[string]string{"team": "infra"}, settled.Labels)
	assert.EqualValues(t, 3, settled.Status.Place)
}

// TestSettleDecidesAgainOnceItIsGranted is about the grant that comes between the look and the delete.
func TestSettleDecidesAgainOnceItIsGranted(t *testing.T) {
	t.Parallel()

	api, client := start(t)
	api.SetReboot(newReboot())
	api.BeforeWrite(func() {
		api.ChangeReboot(node, func(r *v1alpha1.NodeReboot) { r.Status.Phase = v1alpha1.PhaseGranted })
	})

	_, err := client.Settle(t.Context(), node, api.Reboot(node), unlessGranted)
	require.ErrorIs(t, err, errTooLate)
	assert.NotNil(t, api.Reboot(node))
}

func TestSettleDoesNotDeleteAnotherOfThatName(t *testing.T) {
	t.Parallel()

	api, client := start(t)
	api.SetReboot(newReboot())

	before := api.Reboot(node)

	api.BeforeWrite(func() {
		api.DeleteReboot(node)
		api.SetReboot(newReboot(func(r *v1alpha1.NodeReboot) { r.UID, r.Status.Phase = "another", v1alpha1.PhaseGranted }))
	})

	_, err := client.Settle(t.Context(), node, before, unlessGranted)
	require.ErrorIs(t, err, errTooLate)
	assert.NotNil(t, api.Reboot(node))
}

func TestSettleTakesWhatSomebodyElseMade(t *testing.T) {
	t.Parallel()

	for name, changes := range map[string]struct{ before, meanwhile *v1alpha1.NodeReboot }{
		"created meanwhile": {meanwhile: newReboot()},
		"deleted meanwhile": {before: newReboot()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api, client := start(t)

			var current *v1alpha1.NodeReboot

			if changes.before != nil {
				api.SetReboot(changes.before)
				current = api.Reboot(node)
			}

			api.BeforeWrite(func() {
				if changes.meanwhile != nil {
					api.SetReboot(changes.meanwhile)
				} else {
					api.DeleteReboot(node)
				}
			})

			_, err := client.Settle(t.Context(), node, current, func(current *v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, error) {
				wanted := newReboot()
				if current != nil {
					wanted = current.DeepCopy()
				}

				wanted.Spec.Reason = "firmware"

				return wanted, nil
			})
			require.NoError(t, err)
			assert.Equal(t, "firmware", api.Reboot(node).Spec.Reason)
		})
	}
}

func TestAConflictThatNeverEndsIsAnError(t *testing.T) {
	t.Parallel()

	api, client := start(t)
	api.SetReboot(newReboot())

	_, err := client.Settle(t.Context(), node, api.Reboot(node), func(current *v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, error) {
		api.ChangeReboot(node, func(r *v1alpha1.NodeReboot) { r.Status.Place++ })

		wanted := current.DeepCopy()
		wanted.Spec.Suspend = true

		return wanted, nil
	})
	require.ErrorContains(t, err, `failed to change NodeReboot "worker-a"`)
	assert.True(t, kubereboot.IsAnswer(err))
	assert.False(t, kubereboot.IsRefused(err))
}

func TestPauseChangesNothingElse(t *testing.T) {
	t.Parallel()

	api, client := start(t)

	budget, err := client.Pause(t.Context(), true)
	require.NoError(t, err)
	assert.Nil(t, budget, "there is none")

	api.SetBudget(&v1alpha1.RebootBudget{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
		Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 3},
		Status:     v1alpha1.RebootBudgetStatus{Waiting: 2},
	})

	for _, paused := range []bool{true, true, false} {
		budget, err = client.Pause(t.Context(), paused)
		require.NoError(t, err)
		assert.Equal(t, v1alpha1.RebootBudgetSpec{MaxUnavailable: 3, Paused: paused}, budget.Spec)

		budget, err = client.Budget(t.Context())
		require.NoError(t, err)
		assert.Equal(t, v1alpha1.RebootBudgetSpec{MaxUnavailable: 3, Paused: paused}, budget.Spec)
		assert.EqualValues(t, 2, budget.Status.Waiting)
	}
}

func TestErrorsSayWhetherToTryAgain(t *testing.T) {
	t.Parallel()

	api := ctest.NewKubernetes(t)
	client := open(t, api)

	_, err := client.NodeReboots(t.Context())
	assert.True(t, kubereboot.IsNotInstalled(err))
	require.EqualError(t, err, "failed to list the NodeReboots: the API server does not know these objects")

	_, err = client.Budget(t.Context())
	assert.True(t, kubereboot.IsNotInstalled(err))

	_, err = client.Pause(t.Context(), true)
	assert.True(t, kubereboot.IsNotInstalled(err))

	_, err = client.Settle(t.Context(), node, nil, always(newReboot()))
	assert.True(t, kubereboot.IsNotInstalled(err))

	missing, err := client.Node(t.Context(), node)
	require.NoError(t, err)
	assert.Nil(t, missing)

	api.InstallReboots()
	api.Refuse(http.StatusForbidden)

	_, err = client.NodeReboots(t.Context())
	assert.True(t, kubereboot.IsRefused(err))
	assert.True(t, kubereboot.IsAnswer(err))
	require.ErrorContains(t, err, `User "test" cannot list resource "nodereboots"`)

	api.Stop()

	_, err = client.NodeReboots(t.Context())
	assert.False(t, kubereboot.IsRefused(err))
	assert.False(t, kubereboot.IsAnswer(err))
	require.ErrorContains(t, err, "failed to list the NodeReboots: ")
}

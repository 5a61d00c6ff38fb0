// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func ofNode(r *v1alpha1.NodeReboot) {
	r.Labels = map[string]string{v1alpha1.OriginLabel: v1alpha1.OriginNode}
}

func withdrawnByNode(r *v1alpha1.NodeReboot) { r.Status.Reason = "Withdrawn" }

func deleting(r *v1alpha1.NodeReboot) { r.DeletionTimestamp = after(time.Minute) }

func TestAskingDependsOnHowFarItIs(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		phase   v1alpha1.Phase
		changes []func(*v1alpha1.NodeReboot)
		anew    bool
		refused string
	}{
		"not seen yet":             {phase: ""},
		"done":                     {phase: v1alpha1.PhaseDone, anew: true},
		"done, of the node":        {phase: v1alpha1.PhaseDone, changes: []func(*v1alpha1.NodeReboot){ofNode}, anew: true},
		"done, asked for since":    {phase: v1alpha1.PhaseDone, changes: []func(*v1alpha1.NodeReboot){askedAnew(time.Minute)}},
		"waiting":                  {phase: v1alpha1.PhasePending},
		"waiting, of the node":     {phase: v1alpha1.PhasePending, changes: []func(*v1alpha1.NodeReboot){ofNode}},
		"withdrawn by the node":    {phase: v1alpha1.PhasePending, changes: []func(*v1alpha1.NodeReboot){ofNode, withdrawnByNode}, anew: true},
		"draining":                 {phase: v1alpha1.PhaseCordoned},
		"granted":                  {phase: v1alpha1.PhaseGranted},
		"back":                     {phase: v1alpha1.PhaseBack},
		"being given back":         {phase: v1alpha1.PhaseRestoring},
		"being cancelled":          {phase: v1alpha1.PhaseRestoring, changes: []func(*v1alpha1.NodeReboot){deleting}, refused: "still being cancelled"},
		"being cancelled, and new": {phase: "", changes: []func(*v1alpha1.NodeReboot){deleting}, refused: "still being cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			current := newReboot("worker-a", test.phase, append(test.changes, func(r *v1alpha1.NodeReboot) {
				r.Spec.Reason, r.Spec.Suspend, r.Spec.Force = "before", true, true
			})...)
			before := current.DeepCopy()

			wanted, said, err := cli.Ask(&current, 5, midnight.Add(time.Hour))
			assert.Equal(t, before, &current, "what is there is left alone")

			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)

				return
			}

			require.NoError(t, err)
			assert.Equal(t, before.Status, wanted.Status)
			assert.EqualValues(t, 5, *wanted.Spec.Priority)
			assert.False(t, wanted.Spec.Suspend)

			if test.anew {
				assert.Equal(t, "its reboot is asked for anew", said)
				assert.Equal(t, v1alpha1.NodeRebootSpec{Priority: new(int32(5)), RequestedAt: after(time.Hour)}, wanted.Spec)
				assert.Empty(t, wanted.Labels)
			} else {
				assert.Equal(t, "before", wanted.Spec.Reason)
				assert.True(t, wanted.Spec.Force)
				assert.Equal(t, before.Spec.RequestedAt, wanted.Spec.RequestedAt)
				assert.NotContains(t, wanted.Labels, v1alpha1.OriginLabel, "it no longer goes with the wish of the node")
			}
		})
	}
}

func TestCancellingDependsOnHowFarItIs(t *testing.T) {
	t.Parallel()

	type change = func(*v1alpha1.NodeReboot)

	const deleted, suspended, withdrawn, nothing, refused = "deleted", "suspended", "withdrawn", "nothing", "refused"

	held := func(r *v1alpha1.NodeReboot) { r.Finalizers = []string{v1alpha1.Finalizer} }

	for name, test := range map[string]struct {
		phase   v1alpha1.Phase
		changes []change
		wished  bool
		want    string
	}{
		"not seen yet":                   {phase: "", want: deleted},
		"waiting":                        {phase: v1alpha1.PhasePending, want: deleted},
		"waiting, of the node":           {phase: v1alpha1.PhasePending, changes: []change{ofNode}, want: suspended},
		"waiting, wanted by the node":    {phase: v1alpha1.PhasePending, wished: true, want: suspended},
		"withdrawn by the node":          {phase: v1alpha1.PhasePending, changes: []change{ofNode, withdrawnByNode}, want: nothing},
		"withdrawn, and wanted again":    {phase: v1alpha1.PhasePending, changes: []change{ofNode, withdrawnByNode}, wished: true, want: suspended},
		"draining":                       {phase: v1alpha1.PhaseCordoned, changes: []change{held}, want: deleted},
		"drained":                        {phase: v1alpha1.PhaseDrained, changes: []change{held}, want: deleted},
		"being given back":               {phase: v1alpha1.PhaseRestoring, changes: []change{held}, want: deleted},
		"granted":                        {phase: v1alpha1.PhaseGranted, changes: []change{held}, want: refused},
		"granted, of the node":           {phase: v1alpha1.PhaseGranted, changes: []change{held, ofNode}, wished: true, want: refused},
		"granted, deleted by somebody":   {phase: v1alpha1.PhaseGranted, changes: []change{held, deleting}, want: refused},
		"back":                           {phase: v1alpha1.PhaseBack, changes: []change{held}, want: refused},
		"being cancelled":                {phase: v1alpha1.PhaseRestoring, changes: []change{held, deleting}, want: nothing},
		"done":                           {phase: v1alpha1.PhaseDone, want: refused},
		"done, wanted by the node":       {phase: v1alpha1.PhaseDone, changes: []change{ofNode}, wished: true, want: refused},
		"done, asked for since":          {phase: v1alpha1.PhaseDone, changes: []change{askedAnew(time.Minute)}, want: withdrawn},
		"done, wanted since by the node": {phase: v1alpha1.PhaseDone, changes: []change{askedAnew(time.Minute), ofNode}, want: suspended},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			current := newReboot("worker-a", test.phase, test.changes...)
			before := current.DeepCopy()

			wanted, _, err := cli.Cancel("worker-a", &current, test.wished)
			assert.Equal(t, before, &current, "what is there is left alone")

			switch test.want {
			case refused:
				require.Error(t, err)
			case deleted:
				require.NoError(t, err)
				assert.Nil(t, wanted)
			case suspended:
				require.NoError(t, err)

				before.Spec.Suspend = true
				assert.Equal(t, before, wanted)
			case withdrawn:
				require.NoError(t, err)
				assert.Equal(t, before.Status.RequestedAt, wanted.Spec.RequestedAt)
			case nothing:
				require.NoError(t, err)
				assert.Equal(t, before, wanted)
			}
		})
	}

	_, said, err := cli.Cancel("worker-a", nil, false)
	require.NoError(t, err)
	assert.Equal(t, "it is no longer asked for", said)
}

func TestANewRequestHasNoTimeOfItsOwn(t *testing.T) {
	t.Parallel()

	wanted, said, err := cli.Ask(nil, 5, midnight)
	require.NoError(t, err)
	assert.Equal(t, "its reboot is asked for", said)
	assert.Equal(t, &v1alpha1.NodeReboot{
		TypeMeta:   metav1.TypeMeta{APIVersion: "reboot.rebound.dev/v1alpha1", Kind: "NodeReboot"},
		ObjectMeta: metav1.ObjectMeta{Name: "worker-a"},
		Spec:       v1alpha1.NodeRebootSpec{Priority: new(int32(5))},
	}, wanted)
}

// TestAnotherRequestIsLaterThanTheLast is about a machine whose clock is behind, and about two requests in one second.
func TestAnotherRequestIsLaterThanTheLast(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct{ now, want time.Duration }{
		"later":              {now: 2*time.Hour + 500*time.Millisecond, want: 2 * time.Hour},
		"in the same second": {now: time.Hour + 900*time.Millisecond, want: time.Hour + time.Second},
		"behind":             {now: time.Minute, want: time.Hour + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			current := newReboot("worker-a", v1alpha1.PhaseDone, askedAnew(time.Hour), func(r *v1alpha1.NodeReboot) { r.Status.RequestedAt = after(time.Hour) })

			wanted, _, err := cli.Ask(&current, 5, midnight.Add(test.now))
			require.NoError(t, err)
			assert.Equal(t, after(test.want), wanted.Spec.RequestedAt)

			progress := cli.NewRebootProgress(*wanted)
			progress.Take(*wanted)
			assert.False(t, progress.Over(), "the last reboot is not this one")
		})
	}
}

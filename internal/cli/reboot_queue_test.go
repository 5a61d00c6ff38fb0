// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

var midnight = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// after is a moment after midnight.
func after(d time.Duration) *metav1.Time { return new(metav1.NewTime(midnight.Add(d))) }

// newReboot makes a NodeReboot that was asked for at midnight and that the coordinator has seen.
func newReboot(name string, phase v1alpha1.Phase, changes ...func(*v1alpha1.NodeReboot)) v1alpha1.NodeReboot {
	reboot := v1alpha1.NodeReboot{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid", CreationTimestamp: *after(0)},
		Status:     v1alpha1.NodeRebootStatus{Phase: phase, RequestedAt: after(0)},
	}

	for _, change := range changes {
		change(&reboot)
	}

	return reboot
}

func place(place int32) func(*v1alpha1.NodeReboot) {
	return func(r *v1alpha1.NodeReboot) { r.Status.Place = place }
}

func begun(at time.Duration) func(*v1alpha1.NodeReboot) {
	return func(r *v1alpha1.NodeReboot) {
		r.Status.Steps = []v1alpha1.Step{{Phase: "Other", At: *after(time.Second)}, {Phase: r.Status.Phase, At: *after(at)}}
	}
}

func askedAnew(at time.Duration) func(*v1alpha1.NodeReboot) {
	return func(r *v1alpha1.NodeReboot) { r.Spec.RequestedAt = after(at) }
}

func newBudget(holders ...v1alpha1.SlotHolder) *v1alpha1.RebootBudget {
	return &v1alpha1.RebootBudget{
		Spec: v1alpha1.RebootBudgetSpec{MaxUnavailable: 2}, Status: v1alpha1.RebootBudgetStatus{Holders: holders, Waiting: 4},
	}
}

func written(t *testing.T, reboots []v1alpha1.NodeReboot, budget *v1alpha1.RebootBudget, now time.Duration, names ...string) string {
	t.Helper()

	var out strings.Builder

	require.NoError(t, cli.WriteQueue(&out, reboots, budget, midnight.Add(now), names...))

	return out.String()
}

func TestTheQueueIsInItsOrder(t *testing.T) {
	t.Parallel()

	reboots := []v1alpha1.NodeReboot{
		newReboot("done-early", v1alpha1.PhaseDone, begun(time.Minute)),
		newReboot("done-late", v1alpha1.PhaseDone, begun(2*time.Minute)),
		newReboot("again", v1alpha1.PhaseDone, begun(3*time.Minute), askedAnew(5*time.Minute)),
		newReboot("unseen", "", func(r *v1alpha1.NodeReboot) { r.Status.RequestedAt = nil }),
		newReboot("tenth", v1alpha1.PhasePending, place(10)),
		newReboot("second", v1alpha1.PhasePending, place(2)),
		newReboot("first", v1alpha1.PhasePending, place(1)),
		newReboot("suspended-b", v1alpha1.PhasePending, begun(time.Second)),
		newReboot("suspended-a", v1alpha1.PhasePending, begun(time.Second)),
		newReboot("restoring", v1alpha1.PhaseRestoring, begun(4*time.Minute)),
		newReboot("cordoned", v1alpha1.PhaseCordoned, begun(3*time.Minute)),
		newReboot("granted", v1alpha1.PhaseGranted, begun(5*time.Minute)),
	}

	rows := strings.Split(written(t, reboots, newBudget(), 5*time.Minute), "\n")
	order := make([]string, 0, len(rows))

	for _, row := range rows[2:] {
		name, _, _ := strings.Cut(row, " ")
		order = append(order, name)
	}

	assert.Equal(t, []string{
		"cordoned", "restoring", "granted", "first", "second", "tenth", "suspended-a", "suspended-b", "unseen", "again", "done-late", "done-early",
		"hint:", "",
	}, order)
}

func TestTheQueueIsPrintedWithReasons(t *testing.T) {
	t.Parallel()

	reboots := []v1alpha1.NodeReboot{
		newReboot("worker-a", v1alpha1.PhasePending, place(1), begun(time.Minute), func(r *v1alpha1.NodeReboot) {
			r.Labels = map[string]string{v1alpha1.OriginLabel: v1alpha1.OriginNode}
			r.Spec.Reason = "updates"
			r.Status.Reason, r.Status.Message, r.Status.Policy = "Blocked", "pod web/web-0 cannot leave", "workers"
			r.Status.BlockedBy = []v1alpha1.BlockingPod{
				{Namespace: "web", Name: "web-0", Budgets: []string{"web/zero", "web/one"}, Message: "no disruption is allowed"},
				{Namespace: "web", Name: "web-1"},
			}
		}),
		newReboot("control-a", v1alpha1.PhaseGranted, begun(4*time.Minute), func(r *v1alpha1.NodeReboot) {
			r.Spec.Force, r.Spec.Suspend = true, true
			r.Status.Reason, r.Status.Policy = "Rebooting", "control"
		}),
	}

	budget := newBudget(
		v1alpha1.SlotHolder{Node: "control-a", Step: v1alpha1.PhaseGranted, Policy: "control", Since: *after(2 * time.Minute)},
		v1alpha1.SlotHolder{Node: "control-x", Step: v1alpha1.PhaseBack, Since: *after(time.Minute)},
	)
	budget.Spec.Paused = true

	assert.Equal(t, `slots: 2 of 2 taken, 4 waiting, paused
  control-x has held one for 9m: Back, policy -
  control-a has held one for 8m: Granted, policy control
NODE        PLACE   PHASE     FOR   REASON      POLICY    ASKED BY                     MESSAGE
control-a   -       Granted   6m    Rebooting   control   person (forced, suspended)   -
worker-a    1       Pending   9m    Blocked     workers   node: updates                pod web/web-0 cannot leave
worker-a is blocked by pod web/web-0, budget web/zero, web/one: no disruption is allowed
worker-a is blocked by pod web/web-1
hint: reboots are paused; let them begin again with: rebound reboot resume
`, written(t, reboots, budget, 10*time.Minute))
}

func TestASilentCoordinatorIsMissed(t *testing.T) {
	t.Parallel()

	const hint = "hint: no coordinator has looked at the request for worker-a within 30s; is rebound-coordinator running?"

	unseen := newReboot("worker-a", "", func(r *v1alpha1.NodeReboot) { r.Status.RequestedAt = nil })
	again := newReboot("worker-a", v1alpha1.PhaseDone, askedAnew(time.Minute))

	assert.NotContains(t, written(t, []v1alpha1.NodeReboot{unseen}, newBudget(), 30*time.Second), "hint")
	assert.Contains(t, written(t, []v1alpha1.NodeReboot{unseen}, newBudget(), 31*time.Second), hint)
	assert.NotContains(t, written(t, []v1alpha1.NodeReboot{again}, newBudget(), 90*time.Second), "hint")
	assert.Contains(t, written(t, []v1alpha1.NodeReboot{again}, newBudget(), 91*time.Second), hint)
	assert.NotContains(t, written(t, []v1alpha1.NodeReboot{newReboot("worker-a", v1alpha1.PhaseDone)}, newBudget(), time.Hour), "hint")
	assert.NotContains(t, written(t, []v1alpha1.NodeReboot{newReboot("worker-a", v1alpha1.PhasePending)}, newBudget(), time.Hour), "hint")
}

func TestAClockThatIsBehindShowsNoNegativeAges(t *testing.T) {
	t.Parallel()

	assert.Contains(t, written(t, []v1alpha1.NodeReboot{newReboot("worker-a", v1alpha1.PhasePending)}, newBudget(), -time.Hour), " 0s ")
}

func TestNamedNodesAreShownEvenIfNothingIsAsked(t *testing.T) {
	t.Parallel()

	text := written(t, []v1alpha1.NodeReboot{newReboot("worker-a", v1alpha1.PhasePending), newReboot("worker-b", v1alpha1.PhasePending)},
		newBudget(), 0, "worker-b", "worker-c")
	assert.NotContains(t, text, "worker-a")
	assert.Contains(t, text, "worker-b   -       Pending")
	assert.Contains(t, text, "worker-c   -       -         -     -        -        -          no reboot is asked for")
}

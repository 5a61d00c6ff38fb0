// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func saying(reason, message string) func(*v1alpha1.NodeReboot) {
	return func(r *v1alpha1.NodeReboot) { r.Status.Reason, r.Status.Message = reason, message }
}

func TestAWaitHasALineForEveryChange(t *testing.T) {
	t.Parallel()

	a, b := newReboot("worker-a", ""), newReboot("worker-b", "")
	progress := cli.NewRebootProgress(b, a)

	assert.Equal(t, []string{"worker-a: it waits for a coordinator to look at it", "worker-b: it waits for a coordinator to look at it"},
		progress.Take(a, b, newReboot("worker-c", v1alpha1.PhaseGranted)))
	assert.Empty(t, progress.Take(b, a))

	a = newReboot("worker-a", v1alpha1.PhasePending, saying("Blocked", "pod web/web-0\x1b[2J: no"))
	assert.Equal(t, []string{"worker-a: Pending (Blocked): pod web/web-0 [2J: no"}, progress.Take(a, b))

	a = newReboot("worker-a", v1alpha1.PhasePending, saying("Blocked", "pod web/web-1: no"))
	b = newReboot("worker-b", v1alpha1.PhaseCordoned, saying("Draining", "3 pods are left"))
	assert.Equal(t, []string{"worker-a: Pending (Blocked): pod web/web-1: no", "worker-b: Cordoned (Draining): 3 pods are left"}, progress.Take(a, b))
	assert.Equal(t, "worker-a: Pending (Blocked); worker-b: Cordoned (Draining)", progress.Waiting())

	b = newReboot("worker-b", v1alpha1.PhaseDone, saying("Rebooted", ""))
	assert.Equal(t, []string{"worker-b: Done (Rebooted)"}, progress.Take(a, b))
	assert.False(t, progress.Over())
	assert.Equal(t, "worker-a: Pending (Blocked)", progress.Waiting())

	// What becomes of a reboot that is over is no concern of this wait.
	assert.Empty(t, progress.Take(a))

	a = newReboot("worker-a", v1alpha1.PhaseDone, saying("Rebooted", ""))
	assert.Equal(t, []string{"worker-a: Done (Rebooted)"}, progress.Take(a))
	assert.True(t, progress.Over())
}

// TestTheRebootBeforeIsNotTheOneWaitedFor is about a node that was Done when it was asked for anew.
func TestTheRebootBeforeIsNotTheOneWaitedFor(t *testing.T) {
	t.Parallel()

	asked := newReboot("worker-a", v1alpha1.PhaseDone, askedAnew(time.Hour))
	progress := cli.NewRebootProgress(asked)

	assert.Equal(t, []string{"worker-a: it waits for a coordinator to look at it"}, progress.Take(asked))
	assert.False(t, progress.Over())

	// A third request makes no difference: that one is not waited for.
	done := newReboot("worker-a", v1alpha1.PhaseDone, askedAnew(2*time.Hour), func(r *v1alpha1.NodeReboot) { r.Status.RequestedAt = after(time.Hour) })
	assert.Equal(t, []string{"worker-a: Done"}, progress.Take(done))
	assert.True(t, progress.Over())
}

func TestARebootThatIsCancelledIsNotWaitedFor(t *testing.T) {
	t.Parallel()

	another := newReboot("worker-a", v1alpha1.PhaseDone, func(r *v1alpha1.NodeReboot) { r.UID = "another" })

	for name, now := range map[string][]v1alpha1.NodeReboot{"deleted": nil, "made anew by somebody else": {another}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			progress := cli.NewRebootProgress(newReboot("worker-a", v1alpha1.PhasePending))
			assert.Equal(t, []string{"worker-a: its reboot was cancelled"}, progress.Take(now...))
			assert.True(t, progress.Over())
		})
	}
}

func TestAWaitThatEndsEarlySaysHowToCancel(t *testing.T) {
	t.Parallel()

	done, waiting, unheard := newReboot("worker-a", v1alpha1.PhaseDone), newReboot("worker-b", v1alpha1.PhasePending), newReboot("worker-c", "")
	progress := cli.NewRebootProgress(done, waiting, unheard)

	err := progress.Ended(errors.New("not rebooted within 1h0m0s"))
	require.EqualError(t, err, "not rebooted within 1h0m0s; the requests stay, cancel them with: rebound reboot cancel worker-a worker-b worker-c")
	assert.Equal(t, cli.ExitNotRecovered, cli.ExitCode(err))

	progress.Take(done, waiting, unheard)
	require.EqualError(t, progress.Ended(context.Canceled), "interrupted; the last that was seen: worker-b: Pending; "+
		"worker-c: it waits for a coordinator to look at it; the requests stay, cancel them with: rebound reboot cancel worker-b worker-c")
}

func TestAnAPIServerThatIsAwayIsReportedOnce(t *testing.T) {
	t.Parallel()

	waiting := newReboot("worker-a", v1alpha1.PhasePending)
	progress := cli.NewRebootProgress(waiting)
	progress.Take(waiting)

	away, refused := errors.New("connection refused"), errors.New("forbidden")

	assert.True(t, progress.IsNews(away))
	assert.False(t, progress.IsNews(away))
	assert.True(t, progress.IsNews(refused))
	require.ErrorContains(t, progress.Ended(context.Canceled), "interrupted; the last that was seen: worker-a: Pending; forbidden; the requests stay")

	progress.Take(waiting)
	assert.True(t, progress.IsNews(refused), "it had answered meanwhile")
}

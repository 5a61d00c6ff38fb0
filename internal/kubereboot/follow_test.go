// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kubereboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// eventually bounds what takes milliseconds when it works, or a second after a pause.
const eventually = 30 * time.Second

// following is a Follow that goes on beside the test, until worker-a is done.
type following struct {
	seen  chan string
	ended chan error
}

func follow(ctx context.Context, t *testing.T, client *kubereboot.Client) *following {
	t.Helper()

	f := &following{seen: make(chan string, 100), ended: make(chan error, 1)}

	go func() {
		f.ended <- client.Follow(ctx, func(reboots []v1alpha1.NodeReboot) bool {
			phase := v1alpha1.Phase("none")

			for i := range reboots {
				if reboots[i].Name == node {
					phase = reboots[i].Status.Phase
				}
			}

			f.seen <- string(phase)

			return phase == v1alpha1.PhaseDone
		}, func(trouble error) { f.seen <- trouble.Error() })
	}()

	return f
}

func (f *following) sees(t *testing.T, words string) {
	t.Helper()

	select {
	case seen := <-f.seen:
		require.Contains(t, seen, words)
	case <-time.After(eventually):
		require.FailNow(t, "nothing was seen", "not %q", words)
	}
}

func (f *following) ends(t *testing.T, want error) {
	t.Helper()

	select {
	case err := <-f.ended:
		require.ErrorIs(t, err, want)
	case <-time.After(eventually):
		require.FailNow(t, "it goes on")
	}
}

func enter(api *ctest.Kubernetes, phase v1alpha1.Phase) {
	api.ChangeReboot(node, func(r *v1alpha1.NodeReboot) { r.Status.Phase = phase })
}

func TestFollowSeesEveryChange(t *testing.T) {
	t.Parallel()

	api, client := start(t)
	f := follow(t.Context(), t, client)
	f.sees(t, "none")

	api.SetReboot(newReboot())
	f.sees(t, "")

	for _, phase := range []v1alpha1.Phase{v1alpha1.PhasePending, v1alpha1.PhaseCordoned, v1alpha1.PhaseDrained, v1alpha1.PhaseGranted} {
		enter(api, phase)
	}

	f.sees(t, "Pending")
	f.sees(t, "Cordoned")
	f.sees(t, "Drained")
	f.sees(t, "Granted")

	api.DeleteReboot(node)
	f.sees(t, "none")

	api.SetReboot(newReboot(func(r *v1alpha1.NodeReboot) { r.Status.Phase = v1alpha1.PhaseDone }))
	f.sees(t, "Done")
	f.ends(t, nil)
}

func TestFollowOutlivesTheAPIServer(t *testing.T) {
	t.Parallel()

	api, client := start(t)
	api.SetReboot(newReboot())

	f := follow(t.Context(), t, client)
	f.sees(t, "")

	// What changes while there is no watch is seen by the next list.
	api.Refuse(http.StatusServiceUnavailable)
	api.EndWatch()
	f.sees(t, "failed to list the NodeReboots: ")
	enter(api, v1alpha1.PhaseDone)
	api.Refuse(0)

	for seen := ""; seen != "Done"; {
		select {
		case seen = <-f.seen:
		case <-time.After(eventually):
			require.FailNow(t, "the change was not seen")
		}
	}

	f.ends(t, nil)
}

func TestTheEndOfTheContextEndsFollow(t *testing.T) {
	t.Parallel()

	for name, refusal := range map[string]int{"while it watches": 0, "while it pauses": http.StatusServiceUnavailable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api, client := start(t)
			api.Refuse(refusal)

			ctx, cancel := context.WithCancelCause(t.Context())
			f := follow(ctx, t, client)
			f.sees(t, "")
			cancel(errTooLate)
			f.ends(t, errTooLate)
			assert.Empty(t, f.seen)
		})
	}
}

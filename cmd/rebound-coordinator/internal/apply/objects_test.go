// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// A status is the only memory. What is written has to be read back as it was, or a decision would be written again and again.
func TestAStatusIsReadBackAsItWasWritten(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		status := drawStatus(t)
		object := apply.StatusObject(&status)
		back := read.StatusFacts(&object)

		assert.Equal(t, status, back)
		assert.True(t, equality.Semantic.DeepEqual(object, apply.StatusObject(&back)), "it would be written again")
	})
}

func TestALongMessageIsWrittenOnce(t *testing.T) {
	t.Parallel()

	status := reboot.Status{
		Message:   strings.Repeat("é\n", 2000),
		BlockedBy: []reboot.BlockingPod{{Message: "\x1b[31m" + strings.Repeat("x", 2000)}},
		Results:   []reboot.Result{{Message: strings.Repeat("y", 2000)}},
	}
	object := apply.StatusObject(&status)

	assert.LessOrEqual(t, len(object.Message), 1024)
	assert.LessOrEqual(t, len(object.BlockedBy[0].Message), 1024)
	assert.NotContains(t, object.BlockedBy[0].Message, "\x1b")
	assert.LessOrEqual(t, len(object.Results[0].Message), 1024)
	assert.True(t, equality.Semantic.DeepEqual(object, apply.StatusObject(&status)))

	back := read.StatusFacts(&object)
	assert.True(t, equality.Semantic.DeepEqual(object, apply.StatusObject(&back)))
	assert.Greater(t, len(status.BlockedBy[0].Message), 2000, "what was decided was changed")
}

func TestWhoHoldsASlotIsSaidInWords(t *testing.T) {
	t.Parallel()

	since := metav1.NewTime(time.Date(2026, time.March, 2, 13, 0, 0, 0, time.FixedZone("", 3600)))

	assert.Empty(t, apply.HeldBy(nil))
	assert.Equal(t, "a (Drained since 2026-03-02T12:00:00Z), b (Back since 2026-03-02T12:00:00Z)", apply.HeldBy([]v1alpha1.SlotHolder{
		{Node: "a", Step: v1alpha1.PhaseDrained, Since: since}, {Node: "b", Step: v1alpha1.PhaseBack, Since: since},
	}))
}

func drawStatus(t *rapid.T) reboot.Status {
	text := rapid.StringMatching(`[a-zé ]{0,20}`)
	number := rapid.IntRange(0, 1<<31-1)
	moment := rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "seconds"), 0).UTC() })
	perhaps := rapid.OneOf(moment, rapid.Just(time.Time{}))
	phase := rapid.SampledFrom([]reboot.Phase{
		reboot.PhaseNone, reboot.PhasePending, reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted, reboot.PhaseBack,
		reboot.PhaseDone, reboot.PhaseRestoring,
	})
	status := reboot.Status{
		Phase: phase.Draw(t, "phase"), Reason: reboot.Reason(text.Draw(t, "reason")), Message: text.Draw(t, "message"),
		Policy: text.Draw(t, "policy"), Place: number.Draw(t, "place"), RequestedAt: perhaps.Draw(t, "requested at"),
		BootID: text.Draw(t, "boot id"), Attempt: number.Draw(t, "attempt"), FailedAttempts: number.Draw(t, "failed attempts"),
		NextAttemptAt: perhaps.Draw(t, "next attempt at"), SettledSince: perhaps.Draw(t, "settled since"),
	}

	for range rapid.IntRange(0, 3).Draw(t, "pods") {
		status.BlockedBy = append(status.BlockedBy, reboot.BlockingPod{
			Namespace: text.Draw(t, "namespace"), Name: text.Draw(t, "name"), Message: text.Draw(t, "words"),
			Budgets: rapid.SliceOfN(text, 1, 2).Draw(t, "budgets"),
		})
	}

	for range rapid.IntRange(0, 3).Draw(t, "steps") {
		status.Steps = append(status.Steps, reboot.Step{Phase: phase.Draw(t, "step"), At: moment.Draw(t, "at")})
	}

	for range rapid.IntRange(0, 3).Draw(t, "results") {
		status.Results = append(status.Results, reboot.Result{
			Rebooted: rapid.Bool().Draw(t, "rebooted"), Reason: reboot.Reason(text.Draw(t, "result")), Message: text.Draw(t, "why"),
			StartedAt: moment.Draw(t, "started at"), FinishedAt: moment.Draw(t, "finished at"),
		})
	}

	return status
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheModelDoesWhatKubernetesDoes replays what a real DaemonSet controller and a real kubelet did around reboots. Each of
// their steps must be one that those of the model can take, neither too early nor too late. `make record` records it anew.
func TestTheModelDoesWhatKubernetesDoes(t *testing.T) {
	t.Parallel()

	steps := map[string]int{}

	for name, history := range readHistories(t) {
		r := newReplay(history, right)
		assert.Empty(t, r.run(), name)

		for step, count := range r.steps {
			steps[step] += count
		}
	}

	// What was never seen was not checked.
	for _, step := range []string{
		"create", "delete by daemonset-controller", "delete by garbage-collector", "delete by rebound", "kubelet-killed",
		"status ", "status Terminated", "status NodeShutdown", "status UnexpectedAdmissionError",
	} {
		assert.Positive(t, steps[step], "no history has %q; there are %v", step, steps)
	}
}

// TestTheHistoriesShowTheBackOffGrow is what makes them worth replaying.
func TestTheHistoriesShowTheBackOffGrow(t *testing.T) {
	t.Parallel()

	for _, name := range []string{"graceful", "late-device"} {
		r := newReplay(readHistories(t)[name], right)
		require.Empty(t, r.run())

		longest := slices.MaxFunc(slices.Collect(maps.Values(r.controller.backOffs.entries)), func(a, b backOff) int { return int(a.delay - b.delay) })
		assert.GreaterOrEqual(t, longest.delay, 32*firstBackOff, name)
	}
}

// TestAWrongModelIsRefused makes the model wrong in one thing. Some history must refuse it.
func TestAWrongModelIsRefused(t *testing.T) {
	t.Parallel()

	for wrong, says := range map[wrong]string{
		doesNotDouble:       "would have done that at",
		doesNotWait:         "would have done that at",
		doublesTooMuch:      "would not have done that before",
		forgetsNoGeneration: "would not have done that before",
		backsOffFromCreates: "was created, and the model's DaemonSet controller would not have done that",
		admitsWhileEnding:   "reason:NodeShutdown",
		endsNothing:         "reason:Terminated",
		rejectsNothing:      "reason:UnexpectedAdmissionError",
	} {
		t.Run(string(wrong), func(t *testing.T) {
			t.Parallel()

			histories := readHistories(t)
			refused := make([]string, 0, len(histories))

			for _, history := range histories {
				refused = append(refused, newReplay(history, wrong).run()...)
			}

			assert.Contains(t, strings.Join(refused, "\n"), says)
		})
	}
}

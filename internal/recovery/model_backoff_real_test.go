// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/util/flowcontrol"
	"pgregory.net/rapid"
)

// TestTheBackOffOfTheModelIsKubernetes is about what no recorded history is long enough for: that the back-off ends at a
// quarter of an hour, and is forgotten after twice that. The other one is what the DaemonSet controller uses.
func TestTheBackOffOfTheModelIsKubernetes(t *testing.T) {
	t.Parallel()

	for _, wrong := range []wrong{right, doesNotDouble, doesNotWait, doublesTooMuch} {
		t.Run(string(wrong), func(t *testing.T) {
			t.Parallel()

			synctest.Test(t, func(t *testing.T) { compareBackOffs(t, wrong) })
		})
	}
}

func compareBackOffs(t *testing.T, wrong wrong) {
	t.Helper()

	differences, forgotten := 0, 0

	for range 100 {
		actual, model := flowcontrol.NewBackOff(firstBackOff, maxBackOff), backOffs{wrong: wrong}
		key := backOffKey{daemonSetUID: "uid"}

		for _, wait := range waits.Example(int(time.Now().Unix())) {
			time.Sleep(wait) // of the bubble, which takes no time

			now := time.Now()
			if _, known := model.entries[key]; known && actual.Get("uid") != 0 && !actual.IsInBackOffSinceUpdate("uid", now) && wait > 2*maxBackOff {
				forgotten++
			}

			if actual.IsInBackOffSinceUpdate("uid", now) != now.Before(model.over(key, now)) {
				differences++
			}

			if !actual.IsInBackOffSinceUpdate("uid", now) {
				actual.Next("uid", now)
				model.next(key, now)

				if actual.Get("uid") != model.entries[key].delay {
					differences++
				}
			}
		}
	}

	if wrong == right {
		assert.Zero(t, differences)
		assert.Positive(t, forgotten, "none was ever forgotten")
	} else {
		assert.Positive(t, differences)
	}
}

// waits are times between two looks of the DaemonSet controller at a Failed pod.
var waits = rapid.SliceOfN(rapid.SampledFrom([]time.Duration{
	time.Second - 1, time.Second, 2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, maxBackOff, maxBackOff,
	2 * maxBackOff, 2*maxBackOff + 1,
}), 5, 40)

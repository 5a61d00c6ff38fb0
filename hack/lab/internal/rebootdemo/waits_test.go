// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/rebootdemo"
)

func TestLongestWaitCountsAReasonOverItsMessages(t *testing.T) {
	t.Parallel()

	waits := func(seconds int, reason, message string) rebootdemo.Wait {
		return rebootdemo.Wait{At: at(seconds), Node: observedNode, Reason: reason, Message: message}
	}

	for _, tc := range []struct {
		name  string
		waits []rebootdemo.Wait
		want  string
	}{
		{"nothing", nil, ""},
		{"nothing any more", []rebootdemo.Wait{waits(0, "", "")}, ""},
		{"of another node", []rebootdemo.Wait{{At: at(0), Node: unrelatedNode, Reason: "NoSlot"}}, ""},
		{"one without a message", []rebootdemo.Wait{waits(0, "NoSlot", "")}, "NoSlot"},
		{"the longer one", []rebootdemo.Wait{waits(0, "Checking", "a"), waits(2, "NoSlot", "b"), waits(50, "Next", "")}, "NoSlot: b"},
		{"the one before the time", []rebootdemo.Wait{waits(-500, "Paused", ""), waits(10, "NoSlot", "b")}, "NoSlot: b"},
		{"two messages that are longer together", []rebootdemo.Wait{
			waits(0, "Blocked", "c"), waits(25, "NoSlot", "a"), waits(40, "", ""), waits(42, "NoSlot", "b"),
		}, "NoSlot: b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tc.want, rebootdemo.LongestWait(tc.waits, observedNode, asked, at(60)))
		})
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
)

func TestBackoffDoublesEachTime(t *testing.T) {
	t.Parallel()

	b, now := scale.NewBackoffs(), time.Now()

	assert.False(t, b.Holds("a", now), "nothing was raised")

	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		b.Raise("a", now)

		end := now.Add(want * time.Second)
		assert.True(t, b.Holds("a", end.Add(-time.Millisecond)), want)
		assert.False(t, b.Holds("a", end), want)

		now = end
	}

	assert.False(t, b.Holds("b", now), "another node")
}

func TestTheControllerSaysWhichBackoffItRaises(t *testing.T) {
	t.Parallel()

	const line = `I1126 22:50:44.196019   18672 daemon_controller.go:888] "Found failed daemon pod on node, will try to kill it" pod="kube-system/daemon-0-9gds7" node="node-0001"`

	now := time.Date(2026, time.December, 1, 0, 0, 0, 0, time.Local) //nolint:gosmopolitan // as klog

	for name, tc := range map[string]struct {
		now  time.Time
		year int
	}{
		"in the same year": {now, 2026}, "in the next one": {now.AddDate(0, 2, 0), 2026},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			daemonSet, node, when, err := scale.ParseRaise(line, tc.now)
			require.NoError(t, err)
			assert.Equal(t, []string{"daemon-0", "node-0001"}, []string{daemonSet, node})
			assert.Equal(t, time.Date(tc.year, time.November, 26, 22, 50, 44, 196019000, time.Local), when) //nolint:gosmopolitan // as klog
		})
	}

	for _, other := range []string{"", "E" + line[1:], "panic: " + line} {
		daemonSet, _, _, err := scale.ParseRaise(other, now)
		require.NoError(t, err)
		assert.Empty(t, daemonSet)
	}
}

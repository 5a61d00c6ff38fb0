// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/rebootdemo"
)

func TestNextToLookIsTheOneThatLookedLongestAgo(t *testing.T) {
	t.Parallel()

	looked := map[string]time.Time{"control-plane-a": at(12), "control-plane-b": at(3), "control-plane-c": at(7)}
	assert.False(t, rebootdemo.IsNext("worker-a", looked), "it has not looked yet")

	looked["worker-a"] = at(5)
	assert.False(t, rebootdemo.IsNext("worker-a", looked))
	assert.True(t, rebootdemo.IsNext("control-plane-b", looked))

	looked["control-plane-b"] = at(13)
	assert.True(t, rebootdemo.IsNext("worker-a", looked))
}

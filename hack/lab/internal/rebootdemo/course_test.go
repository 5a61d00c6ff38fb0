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

var asked = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

// at is so many seconds after the nodes have asked.
func at(seconds int) time.Time { return asked.Add(time.Duration(seconds) * time.Second) }

// What a Node can say, in the words of kubectl.
const (
	ready         = "Ready"
	cordoned      = "Ready,SchedulingDisabled"
	notReady      = "NotReady"
	cordonedAway  = "NotReady,SchedulingDisabled"
	firstBoot     = "first"
	secondBoot    = "second"
	observedNode  = "worker-a"
	unrelatedNode = "control-plane-a"
)

func says(seconds int, status, boot string) rebootdemo.Observation {
	return rebootdemo.Observation{
		At: at(seconds), Node: observedNode, BootID: boot,
		Ready:    status == ready || status == cordoned,
		Cordoned: status == cordoned || status == cordonedAway,
	}
}

func TestCourseFollowsTheStatesOfANode(t *testing.T) {
	t.Parallel()

	course := rebootdemo.CourseOf(observedNode, []rebootdemo.Observation{
		says(-90, notReady, "before"),
		says(-80, ready, firstBoot),
		{At: at(1), Node: unrelatedNode, Cordoned: true},
		says(3, cordoned, firstBoot),
		says(5, cordonedAway, firstBoot),
		says(9, cordonedAway, secondBoot),
		says(10, cordoned, secondBoot),
		says(40, ready, secondBoot),
		says(70, notReady, secondBoot),
	}, asked, at(60))

	assert.Equal(t, rebootdemo.Course{
		Node: observedNode,
		Stretches: []rebootdemo.Stretch{
			{State: rebootdemo.StateWaiting, From: asked, To: at(3)},
			{State: rebootdemo.StateDraining, From: at(3), To: at(5)},
			{State: rebootdemo.StateDown, From: at(5), To: at(10)},
			{State: rebootdemo.StateBack, From: at(10), To: at(40)},
			{State: rebootdemo.StateDone, From: at(40), To: at(60)},
		},
		Started: at(3), Down: at(5), Rebooted: at(9), Cordoned: 37 * time.Second,
	}, course)
}

func TestCourseGoesBackWhenANodeIsGivenBack(t *testing.T) {
	t.Parallel()

	course := rebootdemo.CourseOf(observedNode, []rebootdemo.Observation{
		says(-1, ready, firstBoot),
		says(2, cordoned, firstBoot),
		says(12, ready, firstBoot),
		says(20, cordoned, firstBoot),
	}, asked, at(25))

	assert.Equal(t, []rebootdemo.Stretch{
		{State: rebootdemo.StateWaiting, From: asked, To: at(2)},
		{State: rebootdemo.StateDraining, From: at(2), To: at(12)},
		{State: rebootdemo.StateWaiting, From: at(12), To: at(20)},
		{State: rebootdemo.StateDraining, From: at(20), To: at(25)},
	}, course.Stretches)
	assert.Equal(t, at(2), course.Started)
	assert.Equal(t, 15*time.Second, course.Cordoned)
	assert.Zero(t, course.Rebooted)
	assert.Zero(t, course.Down)
}

func TestNodeThatWasNeverSeenHasNoCourse(t *testing.T) {
	t.Parallel()

	assert.Equal(t, rebootdemo.Course{Node: "nobody"}, rebootdemo.CourseOf("nobody", []rebootdemo.Observation{says(0, ready, firstBoot)}, asked, at(60)))
}

func TestUnavailableNodesAreCountedAtTheSameTime(t *testing.T) {
	t.Parallel()

	other := func(seconds int, unavailable bool) rebootdemo.Observation {
		return rebootdemo.Observation{At: at(seconds), Node: unrelatedNode, Ready: !unavailable}
	}

	for _, tc := range []struct {
		name string
		seen []rebootdemo.Observation
		want int
	}{
		{"none", []rebootdemo.Observation{says(-1, ready, firstBoot), other(-1, false)}, 0},
		{"one after the other", []rebootdemo.Observation{says(1, cordoned, firstBoot), says(5, ready, secondBoot), other(5, true)}, 1},
		{"one that is both cordoned and down", []rebootdemo.Observation{says(1, cordoned, firstBoot), says(2, cordonedAway, firstBoot)}, 1},
		{"two at once", []rebootdemo.Observation{says(1, cordoned, firstBoot), other(2, true), says(3, ready, firstBoot)}, 2},
		{"two at once before they asked", []rebootdemo.Observation{says(-9, notReady, firstBoot), other(-9, true), says(-5, ready, firstBoot)}, 1},
		{"one from before and one later", []rebootdemo.Observation{other(-9, true), says(4, cordoned, firstBoot)}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tc.want, rebootdemo.MaxUnavailable(tc.seen, asked))
		})
	}
}

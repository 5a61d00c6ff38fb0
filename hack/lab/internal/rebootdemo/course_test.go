// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/rebootdemo"
	"github.com/talos-rebound/rebound/hack/lab/lab"
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

func says(seconds int, status, boot string) lab.NodeSight {
	return lab.NodeSight{
		At: at(seconds), Node: observedNode, BootID: boot,
		Ready:         status == ready || status == cordoned,
		Unschedulable: status == cordoned || status == cordonedAway,
	}
}

func TestCourseFollowsTheStatesOfANode(t *testing.T) {
	t.Parallel()

	course := rebootdemo.CourseOf(observedNode, []lab.NodeSight{
		says(-90, notReady, "before"),
		says(-80, ready, firstBoot),
		{At: at(1), Node: unrelatedNode, Unschedulable: true},
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

	course := rebootdemo.CourseOf(observedNode, []lab.NodeSight{
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

	assert.Equal(t, rebootdemo.Course{Node: "nobody"}, rebootdemo.CourseOf("nobody", []lab.NodeSight{says(0, ready, firstBoot)}, asked, at(60)))
}

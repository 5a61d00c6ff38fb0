// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"maps"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// isToBeReplaced tells whether there has to be another pod in the place of this one. If the clock was set, or was ahead when
// the pod started, one that an earlier boot has left may pass for one of this boot that has failed by itself.
func (j *judge) isToBeReplaced(pod *podObject) bool {
	w := j.world
	isOld := pod.firstBoot != w.boot && !w.wasSet && pod.Started.Before(w.bootFacts().Time)

	return pod.Failed && isOurs(pod.Owner) && !pod.Mirror && pod.NodeName == worker && !pod.OptedOut &&
		(isOld || pod.endedBy() != byItself)
}

// account brings up to date what the DaemonSets are owed, by the pods that rebound is shown.
func (j *judge) account(view map[string]*podObject) {
	for _, debt := range j.owed {
		debt.present, debt.ending, debt.living, debt.paid = false, false, false, false
	}

	j.enter(view)

	for _, pod := range view {
		if pod != nil && !pod.Mirror && isOurs(pod.Owner) {
			j.pay(pod)
		}
	}

	for id, debt := range j.owed {
		switch {
		case !debt.present && debt.paid:
			delete(j.owed, id)
		case debt.present && debt.goneSince.IsZero(), debt.ending, debt.living:
			debt.goneSince = time.Time{}
		case debt.goneSince.IsZero():
			debt.goneSince = j.world.now
		}
	}
}

// enter enters the pods that have opted out or failed.
func (j *judge) enter(view map[string]*podObject) {
	for _, uid := range slices.Sorted(maps.Keys(view)) {
		switch pod := view[uid]; {
		case pod == nil:
		case pod.OptedOut:
			j.optedOut[uid] = true
		case j.isToBeReplaced(pod):
			j.owe(pod)
		}
	}
}

// owe enters a Failed pod.
func (j *judge) owe(pod *podObject) {
	id := pod.DaemonSetID()
	if j.owed[id] == nil {
		j.owed[id] = &debt{uid: pod.Owner.UID, created: pod.Created}
	}

	// One that merely takes its time to go is no matter once another one lives.
	if isEnding := pod.Deleting && len(pod.Finalizers) == 0; isEnding {
		j.owed[id].ending = true
	} else {
		j.owed[id].present = true
	}
}

// pay enters another pod of the DaemonSet, or of a new one of the same name.
func (j *judge) pay(pod *podObject) {
	debt := j.owed[pod.DaemonSetID()]
	if debt == nil {
		return
	}

	isNew := pod.Owner.UID == debt.uid || !pod.Created.Before(debt.created)

	switch {
	case pod.Failed && !j.isToBeReplaced(pod):
		debt.paid = true // it is left alone
	case !pod.Failed && !pod.Deleting && isNew:
		debt.living = true
		debt.paid = debt.paid || pod.Ready
	}
}

// recovered looks at a node that is said to have recovered: nothing may be owed that could have come.
func (j *judge) recovered(facts recovery.Facts) {
	w := j.world

	for _, id := range slices.Sorted(maps.Keys(j.owed)) {
		debt := j.owed[id]

		switch {
		case debt.present && j.isHandedBack(id):
			delete(j.owed, id)
		case debt.present:
			w.violate("rebound says that the node has recovered while %s has a Failed pod", id)
		case debt.goneSince.IsZero():
			w.violate("rebound says that the node has recovered while the pod of %s is not Ready", id)
		case !j.isReleased(debt, facts):
			w.violate("rebound says that the node has recovered while %s has had no pod for only %s", id, w.now.Sub(debt.goneSince))
		default:
			delete(j.owed, id)
		}
	}
}

// isHandedBack tells whether as many pods as may be were deleted, and another one is Ready beside the Failed one.
func (j *judge) isHandedBack(id string) bool {
	if len(j.tried[id])+j.doubtful[id] < j.world.rebound.settings.RejectionCap && !j.world.wasSet {
		return false
	}

	for _, pod := range j.world.rebound.session.view {
		if pod != nil && pod.DaemonSetID() == id && pod.Ready && !pod.Failed && !pod.Deleting {
			return true
		}
	}

	return false
}

// isReleased tells whether nothing has come for so long that nothing will: sooner if the DaemonSet controller was seen to
// live.
func (j *judge) isReleased(debt *debt, facts recovery.Facts) bool {
	w := j.world
	waited := w.now.Sub(debt.goneSince) + watchLag // what rebound was told by the answer, the watch tells later

	if waited >= noSignTime || w.wasSet && waited >= releaseTime {
		return true
	}

	sign := slices.ContainsFunc(facts.Link.Pods, func(pod recovery.Pod) bool {
		return isOurs(pod.Owner) && !pod.Mirror && !pod.Created.Before(debt.goneSince.Add(-watchLag).Truncate(time.Second))
	})

	return sign && waited >= releaseTime
}

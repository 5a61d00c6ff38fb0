// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// The promises that rebound is held to. They are written down again here on purpose: the code under test is not asked.
const (
	burst         = 100             // leftovers of a DaemonSet without a delay
	perMinute     = 60              // the rate after that
	releaseTime   = 5 * time.Minute // until a DaemonSet without a pod is let go
	noSignTime    = 15 * time.Minute
	maxRetryDelay = 256 * time.Second
	passesAtOnce  = 20 // at one point in time, without news
	wakesPerSet   = 75 // a minute, for each DaemonSet
	otherWakes    = 30
)

// retryAfter is the least time from a try that failed to the next one.
var retryAfter = map[recovery.Result]time.Duration{
	recovery.ResultRefused: 5 * time.Second, recovery.ResultFailed: time.Second, recovery.ResultAbandoned: time.Second,
}

// judge holds rebound against its promises, in one boot. It goes by what rebound was shown and by what the model itself did,
// and never by the reasons that the code under test gives.
type judge struct {
	world *world
	// shown are the pods as rebound knew them when it decided to delete them, first when that was.
	shown map[string]*podObject
	// tried are the pods of this boot whose delete was sent, by DaemonSet, in order.
	tried map[string][]string
	// doubtful counts those of earlier boots that look as if they were of this one, as the clock was ahead when they started.
	doubtful map[string]int
	// sends are when the first requests for pods were sent, by DaemonSet; requests those for a single pod.
	sends, requests map[string][]time.Time
	// mayRetry is when the delete of a pod may be tried again.
	mayRetry map[string]time.Time
	// optedOut are the pods that once have: by taking that back a person has them tried anew.
	optedOut map[string]bool
	// owed are the DaemonSets for whose Failed pod there has to be another one.
	owed map[string]*debt
	// wakes are when rebound has looked again although there was no news.
	wakes []time.Time
}

// debt is what a DaemonSet is owed.
type debt struct {
	uid     string
	created time.Time
	// goneSince is since when it has no pod at all; zero while it has one.
	goneSince time.Time
	// present is whether the Failed pod is still there, ending whether one is that is about to go.
	present, ending bool
	// living is whether another pod is in its place, paid whether that is Ready, or is to be left alone.
	living, paid bool
}

func newJudge(w *world) judge {
	j := judge{world: w}
	j.newBoot()

	return j
}

func (j *judge) newBoot() {
	j.shown, j.tried = map[string]*podObject{}, map[string][]string{}
	j.doubtful = map[string]int{}
	j.sends, j.requests = map[string][]time.Time{}, map[string][]time.Time{}
	j.mayRetry, j.owed, j.wakes = map[string]time.Time{}, map[string]*debt{}, nil
	j.optedOut = map[string]bool{}
}

// decided looks at a decision before it is carried out.
func (j *judge) decided(facts recovery.Facts, decision recovery.Decision) {
	w := j.world

	if again := decision.LookAgain; !again.IsZero() && !again.After(w.clock()) {
		w.violate("rebound wants to look again at once, which is a hot loop")
	}

	for _, outcome := range facts.Outcomes {
		if after, failed := retryAfter[outcome.Result]; failed {
			j.mayRetry[outcome.PodUID] = w.now.Add(after)
		} else if debt := j.owed[outcome.DaemonSet]; debt != nil && debt.goneSince.IsZero() {
			debt.goneSince = w.now
		}
	}

	for _, verdict := range decision.Verdicts {
		if verdict.Action == recovery.ActionDelete {
			j.mayDelete(verdict.Pod)
		}
	}

	if s := w.rebound.session; s != nil && s.listed && decision.Obstacle == recovery.ObstacleNone {
		j.account(s.view)
	}

	if decision.Status.Phase == specs.PhaseRecovered && facts.Status.Phase != specs.PhaseRecovered {
		j.recovered(facts)
	}
}

// mayDelete looks at a pod that is to be deleted, as rebound was shown it.
func (j *judge) mayDelete(pod recovery.Pod) {
	w := j.world

	s := w.rebound.session
	if s == nil || s.view[pod.UID] == nil {
		w.violate("rebound deletes %s, which it was not shown", pod.Name)

		return
	}

	shown := s.view[pod.UID]
	j.shown[pod.UID] = shown

	switch {
	case !shown.Failed:
		w.violate("rebound deletes %s, which has not failed", pod.Name)
	case !isOurs(shown.Owner) || shown.Mirror:
		w.violate("rebound deletes %s, which is no DaemonSet's", pod.Name)
	case shown.NodeName != worker:
		w.violate("rebound deletes %s, which is on another node", pod.Name)
	case shown.OptedOut:
		w.violate("rebound deletes %s, which has opted out", pod.Name)
	case shown.Deleting:
		w.violate("rebound deletes %s, which is being deleted", pod.Name)
	case shown.endedBy() == byItself && shown.firstBoot == w.boot:
		w.violate("rebound deletes %s, which has failed by itself in this boot", pod.Name)
	}

	if at := j.mayRetry[pod.UID]; w.now.Before(at) && !s.inFlight[pod.UID] && !j.optedOut[pod.UID] {
		w.violate("rebound deletes %s again %s too early", pod.Name, at.Sub(w.now))
	}
}

// sent looks at a request that leaves the node.
func (j *judge) sent(pod recovery.Pod) {
	w, id := j.world, pod.DaemonSetID()
	shown := j.shown[pod.UID]

	switch {
	case w.tearingDown:
		w.violate("rebound deletes %s while the machine is shutting down", pod.Name)
	case w.kubelet.state == kubeletOff || !w.healthy:
		w.violate("rebound deletes %s while the kubelet is not up", pod.Name)
	case w.node.BootID != w.bootID():
		w.violate("rebound deletes %s before the kubelet has registered in this boot", pod.Name)
	case w.node.ShuttingDown:
		w.violate("rebound deletes %s although the kubelet says that it is shutting down", pod.Name)
	case w.kubelet.state == kubeletEnding && shown.endedBy() == byShutdown && shown.firstBoot == w.boot && !w.wasSet:
		w.violate("rebound deletes %s, which the shutdown that is going on has ended", pod.Name)
	}

	if j.requests[pod.UID] == nil {
		j.sends[id] = append(j.sends[id], w.now)
		j.first(id, shown)
	}

	j.requests[pod.UID] = append(j.requests[pod.UID], w.now)

	if n := inLastMinute(j.requests[pod.UID], w.now); n > perMinute+2 {
		w.violate("rebound has tried to delete %s %d times in a minute", pod.Name, n)
	}

	if n := inLastMinute(j.sends[id], w.now); n > burst+perMinute+w.rebound.settings.RejectionCap+2 {
		w.violate("rebound has deleted %d pods of %s in a minute", n, id)
	}
}

// first looks at the first request for a pod. One of this boot has its turn only after a delay, and so many have one.
func (j *judge) first(id string, pod *podObject) {
	w := j.world
	if pod.firstBoot != w.boot {
		if !pod.Started.Before(w.bootFacts().Time) {
			j.doubtful[id]++
		}

		return
	}

	// What was shut down in the future is taken for a leftover from before the clock was set.
	if w.wasSet && pod.endedBy() == byShutdown {
		return
	}

	var delay time.Duration
	if n := len(j.tried[id]); n > 0 {
		delay = min(time.Second<<(n-1), maxRetryDelay)
	}

	// The kubelet's times are whole seconds.
	if waited := w.now.Sub(pod.firstSeen.Truncate(time.Second)); !w.wasSet && waited < delay {
		w.violate("rebound deletes %s after %s, although %d pods of %s were deleted in this boot before, and %s are due",
			pod.Name, waited, len(j.tried[id]), id, delay)
	}

	if j.tried[id] = append(j.tried[id], pod.UID); len(j.tried[id]) > w.rebound.settings.RejectionCap {
		w.violate("rebound has deleted %d pods of %s that failed in this boot, and may delete %d",
			len(j.tried[id]), id, w.rebound.settings.RejectionCap)
	}
}

// woke notes that rebound looks again although there is no news.
func (j *judge) woke() {
	w := j.world
	j.wakes = append(j.wakes, w.now)

	if n := inLastMinute(j.wakes, w.now); n > otherWakes+wakesPerSet*len(modelNames) {
		w.violate("rebound has looked again %d times in a minute", n)
	}
}

func inLastMinute(times []time.Time, now time.Time) int {
	n := 0
	for n < len(times) && now.Sub(times[len(times)-1-n]) < time.Minute {
		n++
	}

	return n
}

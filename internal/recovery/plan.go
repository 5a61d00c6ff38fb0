// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Plan decides. It is a pure function: the same facts at the same time give the same decision, whatever the order of
// the pods.
func Plan(facts Facts, now time.Time) Decision {
	p := newPlanner(facts, now)

	records := maps.Clone(p.facts.DaemonSets)
	if records == nil {
		records = map[string]specs.DaemonSetRecovery{}
	}

	for _, outcome := range facts.Outcomes {
		if rec, ok := records[outcome.DaemonSet]; ok {
			records[outcome.DaemonSet] = settleAttempt(rec, outcome, p.now)
		}
	}

	found, message := obstacle(p.facts)

	switch {
	case p.hasFinished() && !p.hasComeBack(records):
		return Decision{Connect: p.hasMoreToHear(records), Status: p.finishedStatus(records), DaemonSets: records}
	case found != ObstacleNone:
		switch found { //nolint:exhaustive // of the others there is news when they change
		case ObstacleBoot:
			p.wakeAt(p.now.Add(bootRetryTime))
		case ObstacleNodeShutdown:
			p.lookAtNode()
		}

		return Decision{
			Obstacle:   found,
			Connect:    p.local == ObstacleNone && found != ObstacleMachined,
			ReadNode:   p.readNode,
			Status:     p.closedStatus(found, message, records),
			DaemonSets: records,
			LookAgain:  p.lookAgain,
		}
	case facts.Link.SyncedAt.IsZero():
		status := p.openStatus(records)
		status.Phase, status.Message = specs.PhaseWaiting, "listing the pods of node "+facts.Gate.NodeName

		return Decision{Connect: true, Status: status, DaemonSets: records}
	}

	verdicts := p.planDaemonSets(records)
	status := p.nodeStatus(records)

	return Decision{
		Connect:    status.FinishedAt.IsZero() || p.hasMoreToHear(records),
		ReadNode:   p.readNode,
		Verdicts:   verdicts,
		Status:     status,
		DaemonSets: records,
		LookAgain:  p.lookAgain,
	}
}

// planner is one decision in the making.
type planner struct {
	facts Facts
	now   time.Time
	local Obstacle
	// startedAt is when the node's pods were first looked at after this start of the kubelet, or again after they had
	// recovered.
	startedAt time.Time
	// bootedAt is the time of this boot, leftoversBefore the earliest one that it had while the kubelet was up.
	bootedAt, leftoversBefore time.Time
	lookAgain                 time.Time
	readNode                  bool
}

func newPlanner(facts Facts, now time.Time) *planner {
	p := &planner{facts: facts, now: now.UTC().Round(0)}

	// A name that was known once is only being changed; it is no sign of a machine without Kubernetes.
	if facts.Status.NodeName != "" {
		p.facts.Gate.Booted = false
	}

	p.local, _ = LocalObstacle(p.facts.Boot, p.facts.Gate)

	if p.isOtherNode() {
		p.facts.Status = specs.RecoveryStatus{}
		p.facts.DaemonSets = nil
	}

	p.followClock()
	p.leftoversBefore = p.earliestBoot()
	p.startedAt = p.facts.Status.StartedAt

	if p.startedAt.IsZero() || !p.facts.Status.FinishedAt.IsZero() || !p.isSameKubelet() {
		p.startedAt = p.now
	}

	return p
}

// lookAtNode asks for the Node object to be read again, now and as long as it is asked for.
func (p *planner) lookAtNode() {
	p.readNode = true
	p.wakeAt(p.now.Add(nodeInterval))
}

// wakeAt asks for another decision at t, if no earlier one was asked for.
func (p *planner) wakeAt(t time.Time) {
	if p.lookAgain.IsZero() || t.Before(p.lookAgain) {
		p.lookAgain = t
	}
}

// isOtherNode tells whether what was published is about another boot or another name of this node. An unknown id or name
// is no reason to forget.
func (p *planner) isOtherNode() bool {
	was := p.facts.Status

	return differ(was.BootID, p.facts.Boot.ID) || differ(was.NodeName, p.facts.Gate.NodeName)
}

func differ(was, is string) bool { return was != "" && is != "" && was != is }

// hasFinished tells whether this node was recovered before and its kubelet has been up ever since.
func (p *planner) hasFinished() bool {
	return p.local == ObstacleNone && !p.facts.Status.FinishedAt.IsZero() && p.isSameKubelet()
}

// isSameKubelet tells whether the kubelet has been up since the last decision.
func (p *planner) isSameKubelet() bool {
	return p.facts.Status.KubeletStart == p.facts.Gate.KubeletStart
}

// isReleased tells whether the record is about a DaemonSet that did not come back.
func isReleased(rec specs.DaemonSetRecovery) bool { return rec.Phase == specs.DaemonSetPhaseReleased }

// hasMoreToHear tells whether the connection is still of use when the node has recovered. A pod that did not come back may
// come yet, or fail. And the answer to a delete may be outstanding, though its effect was seen.
func (p *planner) hasMoreToHear(records map[string]specs.DaemonSetRecovery) bool {
	for _, rec := range records {
		if isReleased(rec) {
			return true
		}
	}

	return len(p.facts.InFlight) > 0
}

// hasComeBack tells whether there is a pod, in whatever state, of a DaemonSet that had not come back.
func (p *planner) hasComeBack(records map[string]specs.DaemonSetRecovery) bool {
	if found, _ := obstacle(p.facts); found != ObstacleNone || p.facts.Link.SyncedAt.IsZero() {
		return false
	}

	return slices.ContainsFunc(p.facts.Link.Pods, func(pod Pod) bool {
		rec := records[pod.DaemonSetID()]
		if !isReleased(rec) || pod.Deleting {
			return false
		}

		class, _ := p.classify(pod)
		if class == ClassAlive {
			return isReplacement(rec, class, pod)
		}

		return class != ClassForeign
	})
}

// planDaemonSets gives every pod its verdict and brings the records up to date.
func (p *planner) planDaemonSets(records map[string]specs.DaemonSetRecovery) []Verdict {
	pods := slices.Clone(p.facts.Link.Pods)
	slices.SortFunc(pods, func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})

	verdicts := make([]Verdict, len(pods))
	byDaemonSet := map[string][]*Verdict{}

	for i, pod := range pods {
		class, reason := p.classify(pod)
		verdicts[i] = Verdict{Pod: pod, Class: class, Reason: reason}

		if class != ClassForeign {
			byDaemonSet[pod.DaemonSetID()] = append(byDaemonSet[pod.DaemonSetID()], &verdicts[i])
		}
	}

	ids := slices.Collect(maps.Keys(byDaemonSet))
	ids = append(ids, slices.Collect(maps.Keys(records))...)
	slices.Sort(ids)

	for _, id := range slices.Compact(ids) {
		if rec, keep := p.planDaemonSet(records[id], byDaemonSet[id]); keep {
			if rec.BootedAt.IsZero() {
				rec.BootedAt = p.bootedAt
			}

			records[id] = rec
		} else {
			delete(records, id)
		}
	}

	return verdicts
}

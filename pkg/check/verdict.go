// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import "slices"

// Status is the outcome of a check. The zero value is StatusWaiting: nothing is known yet.
type Status int

const (
	// StatusWaiting means that the node is on its way; there is nothing to do but wait.
	StatusWaiting Status = iota // waiting
	// StatusPassed means that the node's DaemonSet pods are back, or that the node is not meant to have any.
	StatusPassed // passed
	// StatusFailing means that somebody has to look: a pod is stuck, or the node does not answer. It may still heal by
	// itself.
	StatusFailing // failing
	// StatusSkipped means that the node is without rebound, so that there is nothing to check.
	StatusSkipped // skipped
)

// NodeVerdict is the verdict on one node.
type NodeVerdict struct {
	// Name is what messages call the node; never empty.
	Name   string
	Status Status
	// Reason is one line that says why: DaemonSet, pod and cause, in the node's own words. It does not repeat Name.
	Reason string
	// Answer is what the verdict is on.
	Answer Answer
}

// Verdict is the verdict on a cluster.
type Verdict struct {
	// Status is failing if a node is, else waiting if a node is, else passed if a node has; skipped means that all are.
	Status Status
	// Reason is one line that names the nodes that are not whole and says why, the failing ones first. However many
	// they are, it stays readable: the rest is counted, and what is very long is cut.
	Reason string
	// Nodes has the verdict on every node, sorted by name.
	Nodes []NodeVerdict
}

// Settled tells whether waiting can change nothing any more: the cluster passed, no node has anything to check, or the
// caller may not read any of them.
func (verdict Verdict) Settled() bool {
	return verdict.Status == StatusPassed || verdict.Status == StatusSkipped || verdict.Refused()
}

// Refused tells whether every node refused the caller, which another role in the client certificate would change and
// waiting will not.
func (verdict Verdict) Refused() bool {
	return len(verdict.Nodes) > 0 && !slices.ContainsFunc(verdict.Nodes, func(node NodeVerdict) bool {
		return node.Answer.Outcome != OutcomeRefused
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Outcome is what became of a Failed pod.
type Outcome string

// The outcomes.
const (
	// Deleted means that it was deleted, or would be if this were no dry run.
	Deleted Outcome = "deleted"
	// Gone means that somebody else had deleted it, which is just as good.
	Gone Outcome = "gone"
	// Kept means that it is left alone, for the Reason.
	Kept Outcome = "kept"
	// Failed means that the delete failed, for the Reason.
	Failed Outcome = "failed"
)

// Result is what became of one pod, and why.
type Result struct {
	Pod     recovery.Pod
	Outcome Outcome
	// Reason is why, in words that can be printed.
	Reason string
}

// onePerRun is why further pods of a DaemonSet stay.
const onePerRun = "the kubelet rejects the pods of this DaemonSet, and one was deleted in this run"

// Clearing is one run over one node. It goes over the pods that were there at its beginning and over no later ones, so it is
// no loop with a kubelet that rejects, however long it takes.
type Clearing struct {
	node     string
	pods     []recovery.Pod
	records  map[string]specs.DaemonSetRecovery
	outcomes []recovery.Outcome
	// rejected are the DaemonSets of which a rejected pod was dealt with.
	rejected map[string]bool
	results  []Result
}

// NewClearing begins a run over the Failed pods of a node. Pods of other nodes are kept.
func NewClearing(node string, pods []recovery.Pod) *Clearing {
	return &Clearing{node: node, pods: slices.Clone(pods), rejected: map[string]bool{}}
}

// Next returns the pod to delete now, or nil if there is none, and keeps what is known of the others. It decides by the rules of
// internal/recovery, for what the API has shown of the node just now.
//
// The API does not tell when the machine has booted. So no pod counts as left from before the boot for its time alone, only for
// the reasons that a shutdown gives, and those as if they were of this boot: they are held until the kubelet has reported later
// than the pod's end without a word of a shutdown.
func (c *Clearing) Next(node Node, now time.Time) *recovery.Verdict {
	for _, pod := range c.pods {
		// A pod of the future would count as one that is older than the boot.
		now = later(later(now, pod.Created), pod.Started)
	}

	decision := recovery.Plan(c.facts(node, now), now)
	c.records, c.outcomes = decision.DaemonSets, nil

	c.results = slices.DeleteFunc(c.results, func(result Result) bool { return result.Outcome == Kept })

	if decision.Obstacle != recovery.ObstacleNone {
		for _, pod := range c.pods {
			c.keep(pod, obstacleWords(node, decision))
		}

		return nil
	}

	var next *recovery.Verdict

	for i := range decision.Verdicts {
		verdict := &decision.Verdicts[i]

		switch {
		case verdict.Action == recovery.ActionDelete && c.rejected[verdict.Pod.DaemonSetID()]:
			c.keep(verdict.Pod, onePerRun)
		case verdict.Action == recovery.ActionDelete && next == nil:
			next = verdict
		default:
			c.keep(verdict.Pod, verdict.Reason+due(verdict.NotBefore))
		}
	}

	return next
}

// Done enters what became of a pod that Next has returned.
func (c *Clearing) Done(verdict *recovery.Verdict, err error) {
	pod := verdict.Pod
	result := Result{Pod: pod, Outcome: Deleted, Reason: verdict.Reason}
	outcome := recovery.Outcome{DaemonSet: pod.DaemonSetID(), PodUID: pod.UID, Result: recovery.ResultDeleted}

	switch {
	case err == nil:
	case kube.IsGone(err):
		result.Outcome, outcome.Result = Gone, recovery.ResultGone
	default:
		result.Outcome, result.Reason = Failed, kube.Describe(err)
		outcome.Result, outcome.Error = recovery.ResultFailed, result.Reason
	}

	if verdict.Class == recovery.ClassRejected {
		c.rejected[pod.DaemonSetID()] = true
	}

	c.outcomes = append(c.outcomes, outcome)
	c.results = append(c.results, result)
	c.pods = slices.DeleteFunc(c.pods, func(other recovery.Pod) bool { return other.UID == pod.UID })
}

// Results are what became of every pod until now.
func (c *Clearing) Results() []Result { return c.results }

func (c *Clearing) keep(pod recovery.Pod, reason string) {
	c.results = append(c.results, Result{Pod: pod, Outcome: Kept, Reason: reason})
}

// due says until when a pod has to wait, if it has to.
func due(at time.Time) string {
	if at.IsZero() {
		return ""
	}

	return "; until " + at.UTC().Format(time.RFC3339) + " at the latest"
}

// facts are those of a machine that works, as far as the API knows.
func (c *Clearing) facts(node Node, now time.Time) recovery.Facts {
	return recovery.Facts{
		Settings: recovery.DefaultSettings(),
		Boot:     recovery.Boot{ID: node.BootID},
		Gate: recovery.Gate{
			KubeletRunning: node.Posting, KubeletHealthy: node.Posting, LifecyclePresent: true, KubeletStart: node.BootID,
			Stage: "running", InService: true, NodeName: c.node,
		},
		Link:       recovery.Link{Node: node.Node, SyncedAt: now, Pods: c.pods},
		Outcomes:   c.outcomes,
		DaemonSets: c.records,
	}
}

// obstacleWords say why nothing may be deleted. What a node knows of itself by its services is seen in the Node from here.
func obstacleWords(node Node, decision recovery.Decision) string {
	switch {
	case !node.Exists:
		return "there is no Node of that name"
	case decision.Obstacle == recovery.ObstacleBoot:
		return "the kubelet has never registered the Node"
	case decision.Obstacle == recovery.ObstacleKubeletStopped:
		return "the kubelet has stopped posting the state of the Node"
	default:
		return decision.Status.Message
	}
}

// Clear runs over the Failed pods of one node, looking at the Node again before every delete, and deletes what may be deleted;
// with dryRun it deletes nothing. The results until then are returned with the error, which is one of reading, or that of ctx.
func (c *Client) Clear(ctx context.Context, node string, pods []recovery.Pod, dryRun bool) ([]Result, error) {
	clearing := NewClearing(node, pods)

	for {
		seen, err := c.Node(ctx, node)
		if err != nil {
			return clearing.Results(), err
		}

		verdict := clearing.Next(seen, time.Now())
		if verdict == nil {
			return clearing.Results(), nil
		}

		if !dryRun {
			err = c.deletePod(ctx, verdict.Pod)
		}

		clearing.Done(verdict, err)

		if ctx.Err() != nil {
			return clearing.Results(), context.Cause(ctx)
		}
	}
}

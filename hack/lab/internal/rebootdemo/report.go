// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// takeOver is the longest that the blocked node may take, from the moment at
// which its budget is freed until it is there in another boot.
const takeOver = 5 * time.Second

// Role is what a node is for.
type Role string

// The roles.
const (
	RoleControlPlane Role = "control-plane"
	RoleWorker       Role = "worker"
)

// Report is what reboots.json has: how it went with rebound, and beside it with
// others.
type Report struct {
	Result

	Peers []Peer `json:"peers,omitempty"`
}

// Peer is how it went with somebody else's program.
type Peer struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Flags   []string `json:"flags"`

	Result
}

// Result is how one telling of the story went.
type Result struct {
	Nodes      []NodeResult `json:"nodes"`
	Invariants Invariants   `json:"invariants"`

	// Title is what the run is called, Told what was done, and Asked, Freed and Ended
	// are when all nodes asked, when the budget was freed, and when nobody looked
	// any more.
	Title               string    `json:"-"`
	Told                string    `json:"-"`
	Asked, Freed, Ended time.Time `json:"-"`
	// EvictionsRefused counts those that a budget did not allow.
	EvictionsRefused int `json:"-"`
}

// NodeResult is how one node came through a run.
type NodeResult struct {
	Node     string `json:"node"`
	Role     Role   `json:"role"`
	Rebooted bool   `json:"rebooted"`
	// SecondsToReboot is the time from the moment at which the node asked until it
	// was there in another boot; nil if it never was.
	SecondsToReboot *float64 `json:"secondsToReboot"`
	// SecondsCordoned is for how long it was cordoned in all, until the run ended.
	SecondsCordoned float64 `json:"secondsCordoned"`
	// Reason is what it waited for longest, in the words of who made it wait; empty
	// for nothing.
	Reason string `json:"reason"`

	Course Course `json:"-"`
	// CordonedBlocked is how much of SecondsCordoned was before the budget was freed.
	CordonedBlocked time.Duration `json:"-"`
}

// Invariants are what must never be otherwise, by the Nodes and the audit log.
type Invariants struct {
	// MaxUnavailableSeen is how many nodes were cordoned or not Ready at a time.
	MaxUnavailableSeen int `json:"maxUnavailableSeen"`
	// ForeignCordonsRemoved counts cordons that were removed by somebody else than
	// who had set them.
	ForeignCordonsRemoved int `json:"foreignCordonsRemoved"`
	// DeletesPastBudget counts pods that were deleted without asking their budget.
	DeletesPastBudget int `json:"deletesPastBudget"`
}

// newResult judges what was seen of the nodes. The invariants are left out.
func newResult(sights []lab.NodeSight, waits []Wait, asked, freed, ended time.Time) Result {
	run := Result{Asked: asked, Freed: freed, Ended: ended}

	for _, name := range nodeNames {
		course := courseOf(name, sights, asked, ended)
		result := NodeResult{
			Node: name, Role: roleOf(name), Rebooted: !course.Rebooted.IsZero(), SecondsCordoned: rounded(course.Cordoned),
			Course: course, CordonedBlocked: courseOf(name, sights, asked, freed).Cordoned,
		}

		if result.Rebooted {
			result.SecondsToReboot = new(rounded(course.Rebooted.Sub(asked)))
		}

		result.Reason = longestWait(waits, name, asked, course.goes(ended))
		run.Nodes = append(run.Nodes, result)
	}

	return run
}

// Check says what rebound has failed to do. What others do is shown, and no
// reason to fail.
func (run *Result) Check() error {
	var errs []error

	for _, node := range run.Nodes {
		errs = append(errs, run.checkNode(node))
	}

	if n := run.Invariants.MaxUnavailableSeen; n > 1 {
		errs = append(errs, fmt.Errorf("%d nodes were unavailable at the same time", n))
	}

	if n := run.Invariants.ForeignCordonsRemoved; n > 0 {
		errs = append(errs, fmt.Errorf("%d cordons were removed that somebody else had set", n))
	}

	if n := run.Invariants.DeletesPastBudget; n > 0 {
		errs = append(errs, fmt.Errorf("%d pods were deleted past their budget", n))
	}

	return errors.Join(errs...)
}

func (run *Result) checkNode(node NodeResult) error {
	switch {
	case !node.Rebooted:
		return fmt.Errorf("%s could go and was not rebooted within %s: %s", node.Node, show.Seconds(run.Ended.Sub(run.Asked)), node.Reason)
	case node.Role == RoleControlPlane && !run.BeforeFreed(node):
		return fmt.Errorf("%s was rebooted only after the budget of another node was freed", node.Node)
	case node.Role == RoleWorker && run.BeforeFreed(node):
		return fmt.Errorf("%s was rebooted before its budget was freed", node.Node)
	case node.Role == RoleWorker && node.CordonedBlocked > 0:
		return fmt.Errorf("%s was cordoned for %s while its budget allowed nothing", node.Node, show.Seconds(node.CordonedBlocked))
	case node.Role == RoleWorker && node.Course.Rebooted.Sub(run.Freed) > takeOver:
		return fmt.Errorf("%s was rebooted %s after its budget was freed, more than %s", node.Node, show.Seconds(node.Course.Rebooted.Sub(run.Freed)), show.Seconds(takeOver))
	case node.Course.Stretches[len(node.Course.Stretches)-1].State != StateDone:
		return fmt.Errorf("%s was not given back", node.Node)
	default:
		return nil
	}
}

// BeforeFreed says whether the node was rebooted while the budget was not free.
func (run *Result) BeforeFreed(node NodeResult) bool {
	return node.Rebooted && node.Course.Rebooted.Before(run.Freed)
}

// JSON returns the report as it is written.
func (report *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("failed to encode report: %w", err)
	}

	return append(text, '\n'), nil
}

// rounded is a duration in seconds, to a tenth.
func rounded(d time.Duration) float64 { return d.Round(100 * time.Millisecond).Seconds() }

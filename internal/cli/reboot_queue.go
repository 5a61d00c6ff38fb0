// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// silence is how long a coordinator may take to look at a request before it is missed.
const silence = 30 * time.Second

// queueResult is the queue for scripts. All texts in it can be printed as they are.
type queueResult struct {
	// Budget is null if there is none.
	Budget *budgetResult  `json:"budget"`
	Nodes  []rebootResult `json:"nodes"`
	// Hints are what keeps the whole queue waiting.
	Hints []string `json:"hints"`
}

type budgetResult struct {
	MaxUnavailable int32          `json:"maxUnavailable"`
	Paused         bool           `json:"paused"`
	Waiting        int32          `json:"waiting"`
	Holders        []holderResult `json:"holders"`
}

type holderResult struct {
	Node   string    `json:"node"`
	Step   string    `json:"step"`
	Since  time.Time `json:"since"`
	Policy string    `json:"policy"`
}

type rebootResult struct {
	Node string `json:"node"`
	// Phase is empty if no coordinator has looked at the request yet, or if there is none.
	Phase   string `json:"phase"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Since is when the phase began.
	Since  time.Time `json:"since,omitzero"`
	Policy string    `json:"policy"`
	// Place is the one in the queue, from 1 on; 0 if it is not in it.
	Place int32 `json:"place"`
	// Request is null if the node was named and no reboot of it is asked for.
	Request        *requestResult  `json:"request"`
	FailedAttempts int32           `json:"failedAttempts"`
	NextAttemptAt  time.Time       `json:"nextAttemptAt,omitzero"`
	BlockedBy      []blockedResult `json:"blockedBy"`
}

type requestResult struct {
	// By is node or person.
	By        string    `json:"by"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
	Priority  *int32    `json:"priority"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	Suspended bool      `json:"suspended"`
	Forced    bool      `json:"forced"`
}

type blockedResult struct {
	Pod     string   `json:"pod"`
	Budgets []string `json:"budgets"`
	Message string   `json:"message"`
}

// judgeQueue brings the NodeReboots into the order in which they are worked on, and says what keeps all of them waiting.
// Budget is nil if there is none.
func judgeQueue(reboots []v1alpha1.NodeReboot, budget *v1alpha1.RebootBudget, now time.Time) queueResult {
	reboots = slices.SortedFunc(slices.Values(reboots), before)

	result := queueResult{Nodes: []rebootResult{}, Hints: []string{}}

	var silent []string

	for i := range reboots {
		reboot := &reboots[i]
		result.Nodes = append(result.Nodes, judgeReboot(reboot))

		if isUnseen(reboot) && now.Sub(requestedAt(reboot).Time) > silence {
			silent = append(silent, reboot.Name)
		}
	}

	switch {
	case budget == nil:
		result.Hints = append(result.Hints, noBudget)
	case budget.Spec.Paused:
		result.Hints = append(result.Hints, "reboots are paused; let them begin again with: rebound reboot resume")
	}

	if budget != nil {
		result.Budget = judgeBudget(budget)
	}

	if len(silent) > 0 {
		result.Hints = append(result.Hints, fmt.Sprintf("no coordinator has looked at the request for %s within %s; is rebound-coordinator running?",
			printable(strings.Join(silent, ", ")), silence))
	}

	return result
}

func judgeBudget(budget *v1alpha1.RebootBudget) *budgetResult {
	result := &budgetResult{
		MaxUnavailable: budget.Spec.MaxUnavailable, Paused: budget.Spec.Paused, Waiting: budget.Status.Waiting, Holders: []holderResult{},
	}

	for _, holder := range budget.Status.Holders {
		result.Holders = append(result.Holders, holderResult{
			Node: printable(holder.Node), Step: printable(string(holder.Step)), Since: holder.Since.UTC(), Policy: printable(holder.Policy),
		})
	}

	slices.SortFunc(result.Holders, func(a, b holderResult) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Node, b.Node)) })

	return result
}

func judgeReboot(reboot *v1alpha1.NodeReboot) rebootResult {
	spec, status := reboot.Spec, reboot.Status

	by := "person"
	if isOfNode(reboot) {
		by = "node"
	}

	result := rebootResult{
		Node: printable(reboot.Name), Phase: printable(string(status.Phase)), Reason: printable(status.Reason), Message: printable(status.Message),
		Since: since(reboot), Policy: printable(status.Policy), Place: status.Place,
		Request: &requestResult{
			By: by, Reason: printable(spec.Reason), At: requestedAt(reboot).UTC(), Priority: spec.Priority, NotBefore: timeOf(spec.NotBefore),
			Suspended: spec.Suspend, Forced: spec.Force,
		},
		FailedAttempts: status.FailedAttempts, NextAttemptAt: timeOf(status.NextAttemptAt), BlockedBy: []blockedResult{},
	}

	switch {
	case reboot.DeletionTimestamp != nil && result.Message == "":
		result.Message = "it is being cancelled"
	case status.Phase == "":
		result.Message = notLookedAt
	case isUnseen(reboot):
		result.Message = "another reboot is asked for; " + notLookedAt
	}

	for _, pod := range status.BlockedBy {
		blocked := blockedResult{Pod: printable(pod.Namespace + "/" + pod.Name), Budgets: []string{}, Message: printable(pod.Message)}
		for _, budget := range pod.Budgets {
			blocked.Budgets = append(blocked.Budgets, printable(budget))
		}

		result.BlockedBy = append(result.BlockedBy, blocked)
	}

	return result
}

// since is when the phase began; that of the request if this is not on record.
func since(reboot *v1alpha1.NodeReboot) time.Time {
	for _, step := range reboot.Status.Steps {
		if step.Phase == reboot.Status.Phase {
			return step.At.UTC()
		}
	}

	return requestedAt(reboot).UTC()
}

func timeOf(at *metav1.Time) time.Time {
	if at == nil {
		return time.Time{}
	}

	return at.UTC()
}

// before compares two NodeReboots: those under way come first, then those in the queue by their places, then those that wait
// outside of it, then those that nobody has looked at, then those that are done.
func before(a, b v1alpha1.NodeReboot) int {
	rankA, rankB := rank(&a), rank(&b)
	order := cmp.Compare(rankA, rankB)

	switch {
	case order != 0:
		return order
	case rankA == rankQueued:
		order = cmp.Compare(a.Status.Place, b.Status.Place)
	case rankA == rankDone:
		order = since(&b).Compare(since(&a)) // the latest first
	default:
		order = since(&a).Compare(since(&b))
	}

	return cmp.Or(order, cmp.Compare(a.Name, b.Name))
}

const (
	rankUnderWay = iota
	rankQueued
	rankWaiting
	rankUnseen
	rankDone
)

func rank(reboot *v1alpha1.NodeReboot) int {
	switch phase := reboot.Status.Phase; {
	case isUnseen(reboot):
		return rankUnseen
	case phase == v1alpha1.PhaseDone:
		return rankDone
	case phase == v1alpha1.PhasePending && reboot.Status.Place > 0:
		return rankQueued
	case phase == v1alpha1.PhasePending:
		return rankWaiting
	default:
		return rankUnderWay
	}
}

// only keeps the nodes of these names, and adds those for which no reboot is asked for.
func (queue queueResult) only(names []string) queueResult {
	queue.Nodes = slices.DeleteFunc(queue.Nodes, func(node rebootResult) bool { return !slices.Contains(names, node.Node) })

	for _, name := range names {
		if !slices.ContainsFunc(queue.Nodes, func(node rebootResult) bool { return node.Node == name }) {
			queue.Nodes = append(queue.Nodes, rebootResult{Node: name, Message: "no reboot is asked for", BlockedBy: []blockedResult{}})
		}
	}

	return queue
}

// printable is a text from the API without what could steer a terminal.
func printable(text string) string { return specs.Printable(text, cellLength) }

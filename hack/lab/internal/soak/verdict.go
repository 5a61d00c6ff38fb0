// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"fmt"
	"slices"
	"strings"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Verdict is what was found wrong until a moment, a line for each.
type Verdict struct {
	Seconds float64 `json:"seconds"`
	// WrongDeletes are what rebound must not have done, by the audit log: deletes of
	// pods that it has nothing to do with, deletes past a PodDisruptionBudget, cordons
	// of others that were removed.
	WrongDeletes []string `json:"wrongDeletes"`
	// StuckPods are Failed pods of DaemonSets on nodes with rebound, and such nodes
	// that lack a pod at the end.
	StuckPods []string `json:"stuckPods"`
	// CordonsLeft are the coordinator's cordons, and at the end slots and reboots too,
	// that nobody works on any more.
	CordonsLeft []string `json:"cordonsLeft"`
	// BudgetExceeded is where the coordinator had more nodes in hand than allowed.
	BudgetExceeded []string `json:"budgetExceeded"`
	// Growing are processes that use more and more, and such that were never
	// measured.
	Growing []string `json:"growing"`
}

// Passed says whether nothing was found.
func (verdict *Verdict) Passed() bool { return len(verdict.findings()) == 0 }

// counts are the parts of a verdict by name, in their order.
func (verdict *Verdict) counts() []count {
	return []count{
		{"wrong deletes", verdict.WrongDeletes},
		{"stuck pods", verdict.StuckPods},
		{"cordons left behind", verdict.CordonsLeft},
		{"budget exceeded", verdict.BudgetExceeded},
		{"growing processes", verdict.Growing},
	}
}

type count struct {
	name     string
	findings []string
}

func (verdict *Verdict) findings() []string {
	var all []string

	for _, count := range verdict.counts() {
		all = append(all, count.findings...)
	}

	return all
}

// String is the verdict on one line.
func (verdict *Verdict) String() string {
	counts := verdict.counts()
	words := make([]string, len(counts))

	for i, count := range counts {
		words[i] = fmt.Sprintf("%s %d", count.name, len(count.findings))
	}

	return strings.Join(words, ", ")
}

// Evidence is what a verdict is made of.
type Evidence struct {
	Seconds float64
	// Audit is what was found in the audit log.
	Audit []string
	// Ledger has what was seen of pods and cordons.
	Ledger *Ledger
	// Cordoned and Slots are how many nodes bore the coordinator's mark, and held a
	// slot, at a time, at most.
	Cordoned, Slots int
	// Processes are those that were measured, Expected the names of those that had to
	// be.
	Processes map[string][]Life
	Expected  []string
	// Lacking are nodes with rebound on which a pod was not Ready at the end, with
	// what is known of it.
	Lacking []string
	// Ended says that it is the end: from now on nothing is on its way.
	Ended bool
}

// Judge judges the evidence. What is nothing is an empty list, for the report.
func Judge(evidence Evidence) Verdict {
	verdict := Verdict{
		Seconds:        evidence.Seconds,
		WrongDeletes:   append([]string{}, evidence.Audit...),
		StuckPods:      append([]string{}, evidence.Ledger.Stuck...),
		CordonsLeft:    append([]string{}, evidence.Ledger.Cordons...),
		BudgetExceeded: []string{},
		Growing:        []string{},
	}

	for _, most := range []struct {
		what string
		n    int
	}{{"were cordoned", evidence.Cordoned}, {"held a slot", evidence.Slots}} {
		if most.n > maxUnavailable {
			verdict.BudgetExceeded = append(verdict.BudgetExceeded, fmt.Sprintf("%d nodes %s at a time, of which %d were allowed", most.n, most.what, maxUnavailable))
		}
	}

	for _, trend := range Trends(evidence.Processes) {
		if !trend.Flat() {
			verdict.Growing = append(verdict.Growing, trend.String())
		}
	}

	if !evidence.Ended {
		return verdict
	}

	stuck, cordons := evidence.Ledger.Rest()
	verdict.StuckPods = append(append(verdict.StuckPods, stuck...), evidence.Lacking...)
	verdict.CordonsLeft = append(verdict.CordonsLeft, cordons...)

	for _, name := range evidence.Expected {
		if !evidence.measured(name) {
			verdict.Growing = append(verdict.Growing, name+": was never measured")
		}
	}

	return verdict
}

// measured says whether there are samples of the process, in whatever role.
func (evidence Evidence) measured(name string) bool {
	for process := range evidence.Processes {
		if process == name || strings.HasPrefix(process, name+roleMark) {
			return true
		}
	}

	return false
}

// auditJudge judges the audit log as it is written, and keeps of it what is still
// needed.
type auditJudge struct {
	user string
	// found are deletes, changes the requests that changed nodes, which are few.
	found   []string
	changes []lab.AuditRecord
	// deleted counts the pods that rebound on nodes has deleted, evicted those that
	// the coordinator has evicted.
	deleted, evicted int
}

// see takes the next records.
func (judge *auditJudge) see(records []lab.AuditRecord) {
	judge.found = slices.Concat(judge.found, lab.Violations(records), lab.DeletesPastBudget(records, judge.user))

	for _, record := range records {
		switch {
		case record.Node != nil:
			judge.changes = append(judge.changes, record)
		case record.UserAgent == lab.ReboundUserAgent && record.DeletesPod():
			judge.deleted++
		case record.User == judge.user && record.Evicts():
			judge.evicted++
		}
	}
}

// findings are those until now.
func (judge *auditJudge) findings() []string {
	return slices.Concat(judge.found, lab.ForeignCordonsRemoved(judge.changes, judge.user))
}

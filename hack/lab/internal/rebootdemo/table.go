// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the report for a terminal.
func (report *Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)

	fmt.Fprint(table, "\nseconds after all nodes asked\n\n")

	for i, run := range report.runs() {
		if i > 0 {
			fmt.Fprintln(table)
		}

		fmt.Fprintf(table, "%s\tasked\tstarted\trebooted\tcordoned for\twaited longest for\n", run.Title)

		for _, node := range run.Nodes {
			fmt.Fprintf(table, "%s\t0.0\t%s\t%s\t%.1f\t%s\n", node.Node, run.After(node.Course.Started), run.After(node.Course.Rebooted), node.SecondsCordoned, orNothing(node.Reason))
		}

		fmt.Fprintf(table, "%s\n", run.Summary())
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	return nil
}

// runs are all of them, rebound's first.
func (report *Report) runs() []Result {
	runs := make([]Result, 0, 1+len(report.Peers))
	runs = append(runs, report.Result)

	for _, peer := range report.Peers {
		runs = append(runs, peer.Result)
	}

	return runs
}

// After is how many seconds after the nodes asked something was.
func (run Result) After(moment time.Time) string {
	if moment.IsZero() {
		return "no"
	}

	return fmt.Sprintf("%.1f", moment.Sub(run.Asked).Seconds())
}

// Summary is what a run comes to, in one line.
func (run Result) Summary() string {
	var (
		rebooted, before int
		blocked          NodeResult
	)

	for _, node := range run.Nodes {
		if node.Rebooted {
			rebooted++
		}

		if run.BeforeFreed(node) {
			before++
		}

		if node.Role == RoleWorker {
			blocked = node
		}
	}

	parts := []string{fmt.Sprintf("%d of %d rebooted, %d of them before the budget was freed at %s s", rebooted, len(run.Nodes), before, run.After(run.Freed))}

	if blocked.Rebooted && !run.BeforeFreed(blocked) {
		parts = append(parts, fmt.Sprintf("%s in another boot %.1f s after that", blocked.Node, blocked.Course.Rebooted.Sub(run.Freed).Seconds()))
	}

	return strings.Join(append(parts,
		fmt.Sprintf("%d evictions refused", run.EvictionsRefused),
		fmt.Sprintf("%d unavailable at a time", run.Invariants.MaxUnavailableSeen),
		fmt.Sprintf("%d foreign cordons removed", run.Invariants.ForeignCordonsRemoved),
		fmt.Sprintf("%d pods deleted past a budget", run.Invariants.DeletesPastBudget),
	), "; ")
}

// orNothing is for a column that would be empty.
func orNothing(reason string) string {
	if reason == "" {
		return "nothing"
	}

	return reason
}

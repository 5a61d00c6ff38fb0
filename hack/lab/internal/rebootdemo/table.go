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

		fmt.Fprintf(table, "%s\tstarted\trebooted\tcordoned for\twaited longest for\n", run.Title)

		for _, node := range run.Nodes {
			fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%s\n", node.Node, run.After(node.Course.Started), run.After(node.Course.Rebooted), node.SecondsCordoned, orNothing(node.Reason))
		}

		fmt.Fprintf(table, "%s\n", run.Summary())
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	return nil
}

// runs are all of them, rebound's first.
func (report *Report) runs() []Run {
	runs := []Run{report.Run}
	for _, peer := range report.Peers {
		runs = append(runs, peer.Run)
	}

	return runs
}

// After is how many seconds after the nodes asked something was.
func (run Run) After(moment time.Time) string {
	if moment.IsZero() {
		return "no"
	}

	return fmt.Sprintf("%.1f", moment.Sub(run.Asked).Seconds())
}

// Summary is what a run comes to, in one line.
func (run Run) Summary() string {
	rebooted := 0

	var worker NodeResult

	for _, node := range run.Nodes {
		if node.Rebooted {
			rebooted++
		}

		if node.Role == RoleWorker {
			worker = node
		}
	}

	parts := []string{
		fmt.Sprintf("%d of %d rebooted", rebooted, len(run.Nodes)),
		fmt.Sprintf("budget freed at %s", run.After(run.Freed)),
	}

	if down, back := worker.Course.Down, worker.Course.Rebooted; down.After(run.Freed) && back.After(down) {
		parts = append(parts, fmt.Sprintf("%s down %.1f s and back in another boot %.1f s after that", worker.Node, down.Sub(run.Freed).Seconds(), back.Sub(run.Freed).Seconds()))
	}

	return strings.Join(append(parts,
		fmt.Sprintf("unavailable at a time: %d", run.Invariants.MaxUnavailableSeen),
		fmt.Sprintf("foreign cordons removed: %d", run.Invariants.ForeignCordonsRemoved),
		fmt.Sprintf("deletes past a budget: %d", run.Invariants.DeletesPastBudget),
	), "; ")
}

func orNothing(reason string) string {
	if reason == "" {
		return "nothing"
	}

	return reason
}

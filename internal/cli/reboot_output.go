// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// write prints the queue as JSON, or as text with durations until now.
func (queue queueResult) write(out io.Writer, format Format, now time.Time) error {
	if format == FormatJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)

		return encoder.Encode(queue)
	}

	queue.writeBudget(out, now)

	if err := queue.writeTable(out, now); err != nil {
		return err
	}

	queue.writeBlocked(out)

	for _, hint := range queue.Hints {
		fmt.Fprintln(out, "hint: "+hint)
	}

	return nil
}

func (queue queueResult) writeBudget(out io.Writer, now time.Time) {
	budget := queue.Budget
	if budget == nil {
		return
	}

	paused := ""
	if budget.Paused {
		paused = ", paused"
	}

	fmt.Fprintf(out, "slots: %d of %d taken, %d waiting%s\n", len(budget.Holders), budget.MaxUnavailable, budget.Waiting, paused)

	for _, holder := range budget.Holders {
		fmt.Fprintf(out, "  %s has held one for %s: %s, policy %s\n", holder.Node, age(holder.Since, now), holder.Step, cmp.Or(holder.Policy, "-"))
	}
}

func (queue queueResult) writeTable(out io.Writer, now time.Time) error {
	if len(queue.Nodes) == 0 {
		fmt.Fprintln(out, "no reboot is asked for")

		return nil
	}

	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)

	fmt.Fprintln(table, "NODE\tPLACE\tPHASE\tFOR\tREASON\tPOLICY\tASKED BY\tMESSAGE")

	for _, node := range queue.Nodes {
		place, phaseAge := "-", "-"

		if node.Place > 0 {
			place = fmt.Sprint(node.Place)
		}

		if !node.Since.IsZero() {
			phaseAge = age(node.Since, now)
		}

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", node.Node, place, cmp.Or(node.Phase, "-"), phaseAge,
			cmp.Or(node.Reason, "-"), cmp.Or(node.Policy, "-"), node.Request.String(), cmp.Or(node.Message, "-"))
	}

	return table.Flush()
}

// String says who asked for what.
func (request *requestResult) String() string {
	if request == nil {
		return "-"
	}

	text := request.By

	if request.Reason != "" {
		text += ": " + request.Reason
	}

	var more []string

	if request.Forced {
		more = append(more, "forced")
	}

	if request.Suspended {
		more = append(more, "suspended")
	}

	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}

	return text
}

func (queue queueResult) writeBlocked(out io.Writer) {
	for _, node := range queue.Nodes {
		for _, pod := range node.BlockedBy {
			by := "pod " + pod.Pod

			if len(pod.Budgets) > 0 {
				by += ", budget " + strings.Join(pod.Budgets, ", ")
			}

			if pod.Message != "" {
				by += ": " + pod.Message
			}

			fmt.Fprintf(out, "%s is blocked by %s\n", node.Node, by)
		}
	}
}

// age is how long ago something was, as kubectl prints it. The clocks of this machine and of the cluster may differ.
func age(at, now time.Time) string { return duration.HumanDuration(max(now.Sub(at), 0)) }

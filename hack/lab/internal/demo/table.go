// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// row is both nodes in one reboot. Its fields are exported for the page.
type row struct {
	Reboot        int
	With, Without Reboot
}

// rows pairs the reboots of the two nodes.
func (report *Report) rows() []row {
	var rows []row

	for _, reboot := range report.Reboots {
		if len(rows) == 0 || rows[len(rows)-1].Reboot != reboot.Reboot {
			rows = append(rows, row{Reboot: reboot.Reboot})
		}

		if last := &rows[len(rows)-1]; reboot.Rebound {
			last.With = reboot
		} else {
			last.Without = reboot
		}
	}

	return rows
}

// ratio is how many times as long one took as the other; empty if that took no
// time that could be measured.
func ratio(of, to float64) string {
	if to < 0.05 {
		return ""
	}

	return fmt.Sprintf("%.1f x", of/to)
}

func writeTable(w io.Writer, report *Report) error {
	fmt.Fprintf(w, "\nseconds from a healthy kubelet until all DaemonSet pods are Ready (Kubernetes %s)\n\n", report.KubernetesVersion)

	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "reboot\t%s\t%s\tfloor\tto floor\tpods deleted\tAPI requests\t\n", "with rebound", "without")

	for _, row := range report.rows() {
		requests := row.With.APIRequests

		fmt.Fprintf(table, "%d\t%.1f\t%.1f\t%.1f\t%s\t%d\t%d\t\n", row.Reboot,
			row.With.RecoverySeconds, row.Without.RecoverySeconds, report.FloorSeconds, ratio(row.With.RecoverySeconds, report.FloorSeconds),
			row.With.PodsDeleted, requests.List+requests.Watch+requests.Delete+requests.Other)
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	_, err := fmt.Fprintf(w, "\naudit log: %d pods deleted by nodes, %d of them not Failed, %d not owned by a DaemonSet\n",
		report.Audit.DeletesByNodes, report.Audit.DeletesOfPodsNotFailed, report.Audit.DeletesNotOwnedByDaemonSet)
	if err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	return nil
}

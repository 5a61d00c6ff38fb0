// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// jsonFile is the file of the report.
const jsonFile = "soak.json"

// Report is what soak.json has.
type Report struct {
	Seed              uint64  `json:"seed"`
	Seconds           float64 `json:"seconds"`
	KubernetesVersion string  `json:"kubernetesVersion"`
	// Interrupted says that it did not come to its end: the verdict is that of what
	// was seen until then.
	Interrupted bool `json:"interrupted"`
	// Verdict is the last one, Minutes are those on the way.
	Verdict Verdict   `json:"verdict"`
	Minutes []Verdict `json:"minutes"`
	Counts  Counts    `json:"counts"`
	// Trends are what the processes used.
	Trends []Trend `json:"trends"`
	// Events are the plan.
	Events []Event `json:"events"`
}

// Counts say how much has happened: nothing is wrong where nothing happens.
type Counts struct {
	// Boots are those after the first one of each node, Coordinated those reboots
	// that the coordinator has brought to their end.
	Boots       int `json:"boots"`
	Coordinated int `json:"coordinated"`
	// Deleted are the pods that rebound on nodes has deleted, Evicted those that the
	// coordinator has evicted.
	Deleted int `json:"deleted"`
	Evicted int `json:"evicted"`
	// StuckWithout are the Failed pods of DaemonSets at the end on the node without
	// rebound.
	StuckWithout int `json:"stuckWithout"`
}

// report is the whole of it.
func (s *soak) report(verdict Verdict) *Report {
	report := &Report{
		Seed:              s.options.Seed,
		Seconds:           s.options.Time.Seconds(),
		KubernetesVersion: show.KubernetesVersion(),
		Events:            s.plan,
		Minutes:           s.verdicts,
		Verdict:           verdict,
		Trends:            Trends(s.sampler.all()),
		Counts:            Counts{Deleted: s.audit.deleted, Evicted: s.audit.evicted},
	}

	for _, node := range s.lab.Nodes() {
		report.Counts.Boots += len(node.Boots()) - 1

		last := v1alpha1.PhasePending

		for _, sight := range s.witness.Phases(node.Name()) {
			if sight.Phase == v1alpha1.PhaseDone && last != v1alpha1.PhaseDone {
				report.Counts.Coordinated++
			}

			last = sight.Phase
		}
	}

	for _, pod := range s.ledger.last.Failed {
		if nodeRoles[pod.Node] == Stock {
			report.Counts.StuckWithout++
		}
	}

	return report
}

// Check says what was found, or that the soak has not come to its end.
func (report *Report) Check() error {
	var errs []error

	if !report.Verdict.Passed() {
		errs = append(errs, fmt.Errorf("rebound has failed: %s", &report.Verdict))
	}

	if report.Interrupted {
		errs = append(errs, fmt.Errorf("interrupted after %.0f s: the verdict is that until then", report.Verdict.Seconds))
	}

	return errors.Join(errs...)
}

// write writes the report to the folder.
func (report *Report) write(folder string) error {
	text, err := show.JSON(report)
	if err != nil {
		return err
	}

	return show.WriteReports(folder, map[string][]byte{jsonFile: text})
}

// WriteTable writes the report for a terminal.
func (report *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "\n%d reboots, %d of them by the coordinator, which has evicted %d pods; rebound on nodes has deleted %d\n",
		report.Counts.Boots, report.Counts.Coordinated, report.Counts.Evicted, report.Counts.Deleted)
	fmt.Fprintf(w, "Failed pods of DaemonSets left on the node without rebound: %d\n\n", report.Counts.StuckWithout)

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)

	for _, count := range report.Verdict.counts() {
		fmt.Fprintf(table, "%s\t%d\n", count.name, len(count.findings))
	}

	fmt.Fprintln(table, "\t")
	fmt.Fprintln(table, "process\tmeasure\tover\tsecond fifth\tlast fifth\tflat up to\t")

	for _, trend := range report.Trends {
		verdict := "flat"
		if !trend.Flat() {
			verdict = "GROWS"
		}

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", trend.Process, trend.Measure, trend.Over,
			amount(trend.Measure, trend.Before), amount(trend.Measure, trend.After), amount(trend.Measure, trend.Limit), verdict)
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	for _, finding := range report.Verdict.findings() {
		fmt.Fprintln(w, "\n"+finding)
	}

	return nil
}

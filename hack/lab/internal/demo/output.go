// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// The files of a report.
const (
	jsonFile = "report.json"
	htmlFile = "report.html"
	svgFile  = "report.svg"
)

// openFolder makes the folder for the reports, and sees whether they can be
// written there.
func openFolder(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("failed to create folder for reports: %w", err)
	}

	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return fmt.Errorf("failed to write to folder for reports: %w", err)
	}

	probe.Close()           //nolint:errcheck // nothing was written
	os.Remove(probe.Name()) //nolint:errcheck // it is empty

	return nil
}

// write writes every form of the report to the folder.
func (report *Report) write(folder string) error {
	text, err := report.JSON()
	if err != nil {
		return err
	}

	curve, err := report.Plot()
	if err != nil {
		return err
	}

	page, err := report.Page(curve)
	if err != nil {
		return err
	}

	for name, content := range map[string][]byte{jsonFile: text, htmlFile: page, svgFile: curve} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // reports are to be read by all
			return fmt.Errorf("failed to write report: %w", err)
		}
	}

	return nil
}

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

// WriteTable writes the report for a terminal.
func (report *Report) WriteTable(w io.Writer) error {
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

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"ratio": ratio}).Parse(pageText))

// Page returns the report as one page that needs nothing else.
func (report *Report) Page(curve []byte) ([]byte, error) {
	// A document within a page has no declaration of its own.
	if start := bytes.Index(curve, []byte("<svg")); start > 0 {
		curve = curve[start:]
	}

	var page bytes.Buffer

	err := pageTemplate.Execute(&page, map[string]any{
		"Report": report,
		"Rows":   report.rows(),
		"Curve":  template.HTML(curve), //nolint:gosec // drawn by the program itself
		"Target": seconds(recoveryTarget),
		"Err":    report.Check(),
		"Date":   time.Now().Format("2 January 2006"),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}

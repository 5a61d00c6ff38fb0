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
	"text/tabwriter"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// The files of a report.
const (
	jsonFile = "report.json"
	htmlFile = "report.html"
	svgFile  = "report.svg"
)

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

	return show.WriteReports(folder, map[string][]byte{jsonFile: text, htmlFile: page, svgFile: curve})
}

// row is all nodes in one reboot. Its fields are exported for the page.
type row struct {
	Reboot                int
	Machined, Agent, None Reboot
}

// rows puts the reboots of the nodes side by side.
func (report *Report) rows() []row {
	var rows []row

	for _, reboot := range report.Reboots {
		if len(rows) == 0 || rows[len(rows)-1].Reboot != reboot.Reboot {
			rows = append(rows, row{Reboot: reboot.Reboot})
		}

		last := &rows[len(rows)-1]

		switch reboot.Host {
		case specs.HostMachined:
			last.Machined = reboot
		case specs.HostAgent:
			last.Agent = reboot
		default:
			last.None = reboot
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
	fmt.Fprintf(w, "\nseconds from a healthy kubelet until all DaemonSet pods are Ready (Kubernetes %s); the floor is %.1f\n\n",
		report.KubernetesVersion, report.FloorSeconds)

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\trebound in\trebound\twithout\tmachined\tagent\tdeleted by\tdeleted\trequests of\trequests\t\n")
	fmt.Fprint(table, "reboot\tmachined\tas agent\trebound\tto floor\tto floor\tmachined\tby agent\tmachined\tof agent\t\n")

	for _, row := range report.rows() {
		fmt.Fprintf(table, "%d\t%.1f\t%.1f\t%.1f\t%s\t%s\t%d\t%d\t%d\t%d\t\n", row.Reboot,
			row.Machined.RecoverySeconds, row.Agent.RecoverySeconds, row.None.RecoverySeconds,
			ratio(row.Machined.RecoverySeconds, report.FloorSeconds), ratio(row.Agent.RecoverySeconds, report.FloorSeconds),
			row.Machined.PodsDeleted, row.Agent.PodsDeleted, row.Machined.APIRequests.Total(), row.Agent.APIRequests.Total())
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	_, err := fmt.Fprintf(w, "\nagent: %.1f MiB resident, %.2f s of CPU for the last boot\naudit log: %d pods deleted by nodes, %d of them not Failed, %d not owned by a DaemonSet\n",
		report.Agent.MiB(), report.Agent.CPUSeconds,
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
		"Style":  show.PageStyle(),
		"Report": report,
		"Rows":   report.rows(),
		"Curve":  template.HTML(curve), //nolint:gosec // drawn by the program itself
		"Target": show.Seconds(recoveryTarget),
		"Agent":  show.Seconds(report.agentTarget()),
		"Err":    report.Check(),
		"Date":   time.Now().Format("2 January 2006"),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}

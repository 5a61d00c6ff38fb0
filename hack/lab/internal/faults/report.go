// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

// The files of a report.
const (
	jsonFile = "faults.json"
	htmlFile = "faults.html"
)

// Result is what became of a row. All but Requests and Seconds is the same in
// every run that has the same outcome.
type Result struct {
	Name     string `json:"name"`
	Half     Half   `json:"half"`
	Fault    string `json:"fault"`
	When     string `json:"when"`
	Lasts    string `json:"lasts"`
	Expected string `json:"expected"`
	Seen     string `json:"seen"`
	// Requests is how many rebound has sent, and Bound how many it might.
	Requests int     `json:"requests"`
	Bound    int     `json:"bound"`
	Seconds  float64 `json:"seconds"`
	Passed   bool    `json:"passed"`
}

// Report is what faults.json has.
type Report struct {
	Rows []Result `json:"rows"`
}

// Failed returns the rows that have failed.
func (report *Report) Failed() []Result {
	return slices.DeleteFunc(slices.Clone(report.Rows), func(result Result) bool { return result.Passed })
}

// Check says whether a row has failed.
func (report *Report) Check() error {
	if failed := len(report.Failed()); failed > 0 {
		return fmt.Errorf("%d of %d rows failed", failed, len(report.Rows))
	}

	return nil
}

// Differs says in which rows the report is not the same as another one. Requests
// and seconds are different in each run.
func (report *Report) Differs(from *Report) error {
	outcome := func(result Result) Result {
		result.Requests, result.Seconds = 0, 0

		return result
	}

	if len(report.Rows) != len(from.Rows) {
		return fmt.Errorf("%d rows, and not %d as before", len(report.Rows), len(from.Rows))
	}

	var errs []error

	for i, result := range report.Rows {
		if outcome(result) != outcome(from.Rows[i]) {
			errs = append(errs, fmt.Errorf("row %q is not as before: %s; before: %s", result.Name, result.Seen, from.Rows[i].Seen))
		}
	}

	return errors.Join(errs...)
}

// JSON returns the report as faults.json has it.
func (report *Report) JSON() ([]byte, error) {
	return show.JSON(report)
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Page returns the report as one page that needs nothing else.
func (report *Report) Page() ([]byte, error) {
	var page bytes.Buffer

	err := pageTemplate.Execute(&page, map[string]any{
		"Style":             show.PageStyle(),
		"KubernetesVersion": show.KubernetesVersion(),
		"Date":              time.Now().Format("2 January 2006"),
		"Err":               report.Check(),
		"Count":             len(report.Rows),
		"Halves": []struct {
			Title string
			Rows  []Result
		}{
			{"Recovery", report.failedFirst(Recovery)},
			{"Reboots", report.failedFirst(Reboots)},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}

// failedFirst returns the rows of the half: those that have failed, then the others.
func (report *Report) failedFirst(half Half) []Result {
	var failed, passed []Result

	for _, result := range report.Rows {
		switch {
		case result.Half != half:
		case result.Passed:
			passed = append(passed, result)
		default:
			failed = append(failed, result)
		}
	}

	return append(failed, passed...)
}

// write writes every form of the report to the folder.
func (report *Report) write(folder string) error {
	return show.WriteReport(folder, report, jsonFile, htmlFile)
}

// WriteTable writes the report for a terminal: all rows, and what was expected of
// those that have failed.
func (report *Report) WriteTable(w io.Writer) error {
	fmt.Fprintln(w)

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\thalf\trequests\tseconds\trow")

	for _, result := range report.Rows {
		fmt.Fprintf(table, "%s\t%s\t%d/%d\t%.0f\t%s\n", result.verdict(), result.Half, result.Requests, result.Bound, result.Seconds, result.Name)
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	for _, result := range report.Failed() {
		fmt.Fprintf(w, "\n%s\n  expected: %s\n  seen:     %s\n", result.Name, result.Expected, result.Seen)
	}

	return nil
}

func (result *Result) verdict() string {
	if result.Passed {
		return "ok"
	}

	return "FAILED"
}

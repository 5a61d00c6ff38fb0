// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is what became of a mutant.
type Verdict string

const (
	// VerdictKilled means that the test has failed, as it should.
	VerdictKilled Verdict = "killed"
	// VerdictSurvived means that the test has passed: nothing notices when the rule is broken.
	VerdictSurvived Verdict = "survived"
	// VerdictBroken means that the mutant cannot be built, which is an error of the table.
	VerdictBroken Verdict = "broken"
	// VerdictLate means that the test did not end in time, and that the row does not say so.
	VerdictLate Verdict = "late"
	// VerdictDied means that the tests ended without a word about this one.
	VerdictDied Verdict = "died"
)

// Result is what became of the mutant of one row.
type Result struct {
	Row     Row
	Verdict Verdict
	// Took is the time that it took to build the mutant and to run the test.
	Took time.Duration
	// Output is the beginning of what was printed.
	Output string
}

// keptOutput is how many bytes of an output are kept.
const keptOutput = 4096

// judge tells what the outcome says about the row.
func (r *Row) judge(o outcome) Verdict {
	switch name := r.testName(); {
	case o.broken:
		return VerdictBroken
	case o.late && !r.Hangs:
		return VerdictLate
	case o.late, o.failed[name]:
		return VerdictKilled
	case o.passed[name]:
		return VerdictSurvived
	default:
		return VerdictDied
	}
}

// AllKilled tells whether every mutant was killed.
func AllKilled(results []Result) bool {
	for i := range results {
		if results[i].Verdict != VerdictKilled {
			return false
		}
	}

	return true
}

// WriteTable writes a line for every result, and how many of them there are.
func WriteTable(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	counts := map[Verdict]int{}

	fmt.Fprintln(table, "VERDICT\tSECTION\tROW\tRULE\tTEST")

	for i := range results {
		result := &results[i]
		counts[result.Verdict]++

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s: %s\n",
			result.Verdict, result.Row.Section, result.Row.Name, result.Row.Rule, result.Row.Package(), result.Row.Test)
	}

	if err := table.Flush(); err != nil {
		return err
	}

	parts := []string{fmt.Sprintf("%d of %d killed", counts[VerdictKilled], len(results))}

	for _, verdict := range []Verdict{VerdictSurvived, VerdictBroken, VerdictLate, VerdictDied} {
		if n := counts[verdict]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verdict))
		}
	}

	_, err := fmt.Fprintln(w, strings.Join(parts, ", "))

	return err
}

// reported is a result in the JSON report.
type reported struct {
	Name    string  `json:"name"`
	Section string  `json:"section"`
	Rule    string  `json:"rule"`
	File    string  `json:"file"`
	Old     string  `json:"old"`
	New     string  `json:"new"`
	Folder  string  `json:"folder"`
	Test    string  `json:"test"`
	Verdict Verdict `json:"verdict"`
	Seconds float64 `json:"seconds"`
	Output  string  `json:"output"`
}

// WriteJSON writes the results to a file, and makes the folder that it is in.
func WriteJSON(name string, results []Result) error {
	rows := make([]reported, len(results))

	for i := range results {
		row := &results[i].Row
		rows[i] = reported{
			row.Name, row.Section, row.Rule, row.File, row.Old, row.New, row.Package(), row.Test,
			results[i].Verdict, results[i].Took.Seconds(), results[i].Output,
		}
	}

	text, err := json.MarshalIndent(map[string]any{"rows": rows}, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode the results: %w", err)
	}

	if err = os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("failed to write the results: %w", err)
	}

	if err = os.WriteFile(name, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("failed to write the results: %w", err)
	}

	return nil
}

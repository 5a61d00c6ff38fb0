// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Mutants shows that every rule has a test that fails when the rule is taken out: it applies the changes of a table to a copy
// of the repository, one at a time, and runs just the test that is to notice. The table is in internal/table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
	"github.com/talos-rebound/rebound/hack/mutants/internal/table"
)

// errSurvived is that the table has rows whose mutants were not killed.
var errSurvived = errors.New("not every mutant was killed")

// usage is the help before the flags.
const usage = `Mutants breaks one rule after the other in a copy of the repository, and runs the
one test that is to fail then. It exits with 1 unless every test has failed, and
before that if one of them fails without a change.

Ctrl-C ends it and removes the copies.

  mutants                  run all rows of the table
  mutants --list           what there is
  mutants --only '^gate/'  run some of them

`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Whoever presses Ctrl-C twice does not want to wait for anything.
	context.AfterFunc(ctx, stop)

	runner := mutation.Runner{}

	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.StringVar(&runner.Source, "source", ".", "top of the repository")
	flag.IntVar(&runner.Workers, "workers", runtime.NumCPU(), "how many mutants to run at a time")
	flag.DurationVar(&runner.Limit, "limit", time.Minute, "how long a test may take")
	out := flag.String("out", "build/mutants.json", "file to write")
	only := flag.String("only", "", "regular expression of the names of the rows to run (default all)")
	list := flag.Bool("list", false, "print the table and run nothing")
	flag.Parse()

	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see mutants --help", flag.Arg(0))
	}

	if runner.Workers < 1 || runner.Limit <= 0 {
		return errors.New("--workers and --limit must be more than 0")
	}

	rows, err := chosen(*only)
	if err != nil {
		return err
	}

	if *list {
		return printRows(os.Stdout, rows)
	}

	err = mutate(ctx, &runner, rows, *out, os.Stdout)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}

	return err
}

// chosen returns the rows whose names match.
func chosen(only string) ([]mutation.Row, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("failed to read --only: %w", err)
	}

	var rows []mutation.Row

	for _, row := range table.Rows() {
		if pattern.MatchString(row.Name) {
			rows = append(rows, row)
		}
	}

	if len(rows) == 0 {
		return nil, fmt.Errorf("no row matches %q; see mutants --list", only)
	}

	return rows, nil
}

// printRows writes the table for people.
func printRows(w io.Writer, rows []mutation.Row) error {
	for i := range rows {
		row := &rows[i]
		if _, err := fmt.Fprintf(w, "%s (%s)\n  %s\n  %s:\n%s%s  %s: %s\n\n",
			row.Name, row.Section, row.Rule, row.File, indented("- ", row.Old), indented("+ ", row.New), row.Package(), row.Test); err != nil {
			return err
		}
	}

	_, err := fmt.Fprintf(w, "%d rows\n", len(rows))

	return err
}

// mutate runs the rows, and tells about each as it is done.
func mutate(ctx context.Context, runner *mutation.Runner, rows []mutation.Row, out string, w io.Writer) error {
	began, done := time.Now(), 0

	runner.Note = func(result mutation.Result) {
		done++
		fmt.Fprintf(w, "[%d/%d] %-8s  %s (%.1f s)\n", done, len(rows), result.Verdict, result.Row.Name, result.Took.Seconds())

		if result.Verdict != mutation.VerdictKilled {
			fmt.Fprint(w, indented("", result.Output))
		}
	}

	fmt.Fprintf(w, "running the tests of %d rows without a change\n", len(rows))

	results, err := runner.Run(ctx, rows)
	if err != nil {
		return err
	}

	if err = mutation.WriteJSON(out, results); err != nil {
		return err
	}

	fmt.Fprintln(w)

	if err = mutation.WriteTable(w, results); err != nil {
		return err
	}

	fmt.Fprintf(w, "%s, in %s\n", out, time.Since(began).Round(time.Second))

	if !mutation.AllKilled(results) {
		return errSurvived
	}

	return nil
}

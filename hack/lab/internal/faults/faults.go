// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"text/tabwriter"

	"k8s.io/klog/v2"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

// Options are what a run of the matrix may be given.
type Options struct {
	// Only is a regular expression for the names of the rows to play; empty for all.
	Only string
	// Quick plays the smaller set, List none.
	Quick, List bool
	// Times is how often all of it is played, to see that it has the same outcome each
	// time; at least once.
	Times int
	// Out is the folder for the reports. It is created if need be.
	Out string
	// Rebound and Coordinator are binaries; those beside the running program if they
	// are empty. Manifests is the folder of the coordinator's manifests.
	Rebound, Coordinator, Manifests string
}

// Run plays the matrix and writes progress and results to w. The error says how
// many rows have failed; the reports are written in that case too. A run that is
// interrupted reports nothing.
func Run(ctx context.Context, options Options, w io.Writer) error {
	rows, err := options.choose(Rows()) //nolint:contextcheck // a row gets its context with its stage
	if err != nil {
		return err
	}

	if options.List {
		return list(w, rows)
	}

	programs, err := options.check()
	if err != nil {
		return err
	}

	// What the clients of this process say when a server goes away is no news here.
	klog.SetLogger(klog.Logger{})

	log := show.NewLog(w)
	runner := &Runner{Programs: programs}

	var first *Report

	for run := range options.Times {
		log.Say("playing %d rows on Kubernetes %s", len(rows), show.KubernetesVersion())

		report := runner.report(ctx, rows, log)

		if ctx.Err() != nil {
			return errors.New("interrupted, nothing was reported")
		}

		if err := errors.Join(report.write(options.Out), report.WriteTable(w)); err != nil {
			return err
		}

		if first == nil {
			first = report
		}

		if err := errors.Join(report.Check(), report.Differs(first)); err != nil {
			return fmt.Errorf("run %d: %w", run+1, err)
		}
	}

	fmt.Fprintf(w, "\nreports: %s\n         %s\n", filepath.Join(options.Out, jsonFile), filepath.Join(options.Out, htmlFile))

	return nil
}

// check finds what is needed, before anything is started.
func (options *Options) check() (programs Programs, err error) {
	if options.Times < 1 {
		return programs, fmt.Errorf("--times is %d: rows are played once at least", options.Times)
	}

	if programs.Rebound, err = show.FindProgram(options.Rebound, "rebound"); err != nil {
		return programs, err
	}

	if programs.Coordinator, err = show.FindProgram(options.Coordinator, "rebound-coordinator"); err != nil {
		return programs, err
	}

	programs.Manifests = options.Manifests
	if err = show.CheckManifests(programs.Manifests); err != nil {
		return programs, err
	}

	// A folder that cannot be written to is better known before than after.
	return programs, show.OpenFolder(options.Out)
}

// report plays the rows and says how each of them has ended.
func (runner *Runner) report(ctx context.Context, rows []Row, log *show.Log) *Report {
	done := 0

	runner.Ended = func(result Result) {
		if ctx.Err() != nil {
			return // what was going on when it was interrupted tells nothing
		}

		done++
		log.Say("%3d/%d  %-6s %s", done, len(rows), result.verdict(), result.Name)
	}

	return &Report{Rows: runner.Run(ctx, rows)}
}

// choose returns the rows that are asked for.
func (options *Options) choose(rows []Row) ([]Row, error) {
	only, err := regexp.Compile(options.Only)
	if err != nil {
		return nil, fmt.Errorf("--only is no regular expression: %w", err)
	}

	rows = slices.DeleteFunc(rows, func(row Row) bool {
		return options.Quick && !row.Quick || !only.MatchString(row.Name)
	})

	if len(rows) == 0 {
		return nil, fmt.Errorf("no row has a name that matches %q", options.Only)
	}

	return rows, nil
}

// list writes what there is.
func list(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "half\trow\tfault\twhen\tfor how long\texpected")

	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Half, row.Name, row.Fault, row.When, row.Lasts, row.Expected())
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write list: %w", err)
	}

	return nil
}

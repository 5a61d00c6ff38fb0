// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Runner runs mutants of a repository.
type Runner struct {
	// Source is the top of the repository, a work tree of git. Nothing is written to it.
	Source string
	// Workers is how many mutants run at a time; at least 1.
	Workers int
	// Limit is the time that a test has, without that for building it.
	Limit time.Duration
	// Note is called with every result as it comes, from one goroutine at a time.
	Note func(Result)
}

// Run applies every row to a copy of the repository, as it lies there with what is not committed, and returns a result for
// each, in the order of the rows. It is an error if the table does not fit the repository (Check), and if one of the tests
// does not pass without a change. When ctx ends, the copies are removed and nothing is left running.
func (r *Runner) Run(ctx context.Context, rows []Row) (results []Result, err error) {
	if err = Check(r.Source, rows); err != nil {
		return nil, err
	}

	scratch, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, fmt.Errorf("failed to make a scratch folder: %w", err)
	}

	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	names, err := workFiles(ctx, r.Source)
	if err != nil {
		return nil, err
	}

	tops := make([]string, r.Workers)
	for i := range tops {
		tops[i] = filepath.Join(scratch, strconv.Itoa(i))

		if err = makeCopy(ctx, names, r.Source, tops[i]); err != nil {
			return nil, err
		}
	}

	if err = r.checkTests(ctx, tops, rows); err != nil {
		return nil, err
	}

	return r.runMutants(ctx, tops, rows)
}

// checkTests runs the tests without a change. Each of them has to pass: one that fails anyway notices nothing.
func (r *Runner) checkTests(ctx context.Context, tops []string, rows []Row) error {
	byFolder := map[string][]*Row{}

	var folders []string

	for i := range rows {
		folder := rows[i].Package()
		if byFolder[folder] == nil {
			folders = append(folders, folder)
		}

		byFolder[folder] = append(byFolder[folder], &rows[i])
	}

	return inParallel(ctx, tops, len(folders), func(ctx context.Context, top string, i int) error {
		patterns := make([]string, 0, len(byFolder[folders[i]]))

		for _, row := range byFolder[folders[i]] {
			patterns = append(patterns, row.pattern())
		}

		slices.Sort(patterns)

		// All of them together may take as long as each of them may.
		limit := r.Limit * time.Duration(len(patterns))

		o, err := runTests(ctx, top, folders[i], strings.Join(slices.Compact(patterns), "|"), limit)
		if err != nil {
			return err
		}

		var errs []error

		for _, row := range byFolder[folders[i]] {
			if !o.passed[row.testName()] {
				errs = append(errs, fmt.Errorf("row %q: without the change, test %q of %s does not pass", row.Name, row.Test, folders[i]))
			}
		}

		if len(errs) > 0 {
			errs = append(errs, errors.New(beginning(o.output)))
		}

		return errors.Join(errs...)
	})
}

// runMutants runs the mutants, those whose tests are in the same package one after the other.
func (r *Runner) runMutants(ctx context.Context, tops []string, rows []Row) ([]Result, error) {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}

	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(rows[a].Package(), rows[b].Package()) })

	var mu sync.Mutex

	results := make([]Result, len(rows))

	err := inParallel(ctx, tops, len(order), func(ctx context.Context, top string, i int) error {
		result, err := r.runMutant(ctx, top, &rows[order[i]])
		if err != nil {
			return fmt.Errorf("row %q: %w", rows[order[i]].Name, err)
		}

		mu.Lock()
		defer mu.Unlock()

		results[order[i]] = result
		r.Note(result)

		return nil
	})
	if err != nil {
		return nil, err
	}

	return results, nil
}

// runMutant applies one change, runs its test, and takes the change back.
func (r *Runner) runMutant(ctx context.Context, top string, row *Row) (result Result, err error) {
	name := filepath.Join(top, filepath.FromSlash(row.File))

	original, err := os.ReadFile(name)
	if err != nil {
		return Result{}, err
	}

	mutated, err := row.mutate(top)
	if err != nil {
		return Result{}, err
	}

	if err = os.WriteFile(name, mutated, 0o600); err != nil {
		return Result{}, err
	}

	defer func() { err = errors.Join(err, os.WriteFile(name, original, 0o600)) }()

	began := time.Now()

	o, err := runTests(ctx, top, row.Package(), row.pattern(), r.Limit)
	if err != nil {
		return Result{}, err
	}

	return Result{Row: *row, Verdict: row.judge(o), Took: time.Since(began), Output: beginning(o.output)}, nil
}

// inParallel does a number of things, as many at a time as there are copies, each with a copy of its own. The first error
// ends the rest.
func inParallel(ctx context.Context, tops []string, n int, do func(ctx context.Context, top string, i int) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	var workers sync.WaitGroup

	next := make(chan int)

	for _, top := range tops {
		workers.Go(func() {
			for i := range next {
				if err := do(ctx, top, i); err != nil {
					fail(err)
				}
			}
		})
	}

	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}

	close(next)
	workers.Wait()

	return context.Cause(ctx)
}

// beginning is what is kept of an output.
func beginning(output string) string {
	return strings.ToValidUTF8(output[:min(len(output), keptOutput)], "")
}

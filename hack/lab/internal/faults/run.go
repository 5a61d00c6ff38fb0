// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	// besideLimit is how many rows share a lab at a time.
	besideLimit = 5
	// startLimit bounds the start of a lab on a slow machine.
	startLimit = 5 * time.Minute
)

// errInterrupted is why a row was not played to its end.
var errInterrupted = errors.New("interrupted")

// Runner plays rows.
type Runner struct {
	Programs Programs
	// Ended is told of every result as it comes; one at a time.
	Ended func(Result)

	stages atomic.Int64
	mu     sync.Mutex
}

// Run plays the rows and returns their results in the same order: one for each,
// also of those that could not be played. When ctx is done, those that are under
// way and those that are left have failed.
func (runner *Runner) Run(ctx context.Context, rows []Row) []Result {
	results := make([]Result, len(rows))
	lanes := map[string][]int{}

	for i := range rows {
		lanes[rows[i].lane()] = append(lanes[rows[i].lane()], i)
	}

	var group errgroup.Group

	for name, indices := range lanes {
		// What may take longest comes first, so that the rest goes on beside it.
		slices.SortStableFunc(indices, func(a, b int) int { return cmp.Compare(rows[b].limit(), rows[a].limit()) })

		group.Go(func() error {
			runner.runLane(ctx, name, rows, indices, results)

			return nil
		})
	}

	group.Wait() //nolint:errcheck // every error is a row's

	return results
}

// lane is the name of the rows that go one after the other, or side by side on
// one lab. Lanes go side by side.
func (row *Row) lane() string {
	switch row.Place {
	case Alone:
		return laneAlone
	case InTurn:
		return string(row.Half) + " in turn"
	default:
		return laneBeside
	}
}

const (
	laneAlone  = "alone"
	laneBeside = "beside"
)

// runLane plays the rows of a lane, and writes their results.
func (runner *Runner) runLane(ctx context.Context, lane string, rows []Row, indices []int, results []Result) {
	tell := func(i int, result Result) {
		runner.mu.Lock()
		defer runner.mu.Unlock()

		results[i] = result

		if runner.Ended != nil {
			runner.Ended(result)
		}
	}

	if lane == laneAlone {
		for _, i := range indices {
			tell(i, runner.alone(ctx, &rows[i]))
		}

		return
	}

	cluster, err := runner.open(ctx, &rows[indices[0]])
	if err != nil {
		for _, i := range indices {
			tell(i, rows[i].failed(err))
		}

		return
	}

	var group errgroup.Group

	group.SetLimit(1)

	if lane == laneBeside {
		group.SetLimit(besideLimit)
	}

	for _, i := range indices {
		group.Go(func() error {
			tell(i, runner.onStage(ctx, &rows[i], cluster))

			return nil
		})
	}

	group.Wait() //nolint:errcheck // every error is a row's

	if err = cluster.Close(); err != nil {
		last := indices[len(indices)-1]
		result := results[last]
		result.Passed, result.Seen = false, fmt.Sprintf("%s; %s", result.Seen, plain(err.Error()))
		tell(last, result)
	}
}

// open starts a lab for the row and those that share it.
func (runner *Runner) open(ctx context.Context, row *Row) (*lab.Lab, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no lab within %s", startLimit))
	defer cancel()

	options := []lab.Option{}
	if row.Place == Alone {
		options = row.Options
	}

	cluster, err := lab.Start(ctx, options...)
	if err != nil {
		return nil, err
	}

	if row.Half == Reboots {
		if _, err = cluster.ApplyManifests(ctx, runner.Programs.Manifests); err != nil {
			return nil, errors.Join(err, cluster.Close())
		}
	}

	return cluster, nil
}

// alone plays a row on a lab of its own.
func (runner *Runner) alone(ctx context.Context, row *Row) Result {
	if ctx.Err() != nil {
		return row.failed(errInterrupted)
	}

	cluster, err := runner.open(ctx, row)
	if err != nil {
		return row.failed(err)
	}

	result := runner.onStage(ctx, row, cluster)

	if err = cluster.Close(); err != nil {
		result.Passed, result.Seen = false, fmt.Sprintf("%s; %s", result.Seen, plain(err.Error()))
	}

	return result
}

// onStage plays a row, judges it, and leaves the lab as it was.
func (runner *Runner) onStage(ctx context.Context, row *Row, cluster *lab.Lab) Result {
	if ctx.Err() != nil {
		return row.failed(errInterrupted)
	}

	rowCtx, cancel := context.WithTimeoutCause(ctx, row.limit(), fmt.Errorf("not done within %s", row.limit()))
	defer cancel()

	s := &Stage{
		Lab: cluster, Programs: runner.Programs, Row: row,
		Name: fmt.Sprintf("%s%d", stagePrefix, runner.stages.Add(1)),
		ctx:  rowCtx, began: time.Now(),
	}

	end, err := row.play(s)

	// The verdict is about the row and not about its end: by then nothing of it runs.
	cleanErr := s.clean(ctx)
	requests, verdict := s.verdict()

	if ctx.Err() != nil {
		err = errInterrupted
	}

	result := Result{
		Name: row.Name, Half: row.Half, Fault: row.Fault, When: row.When, Lasts: row.Lasts,
		Expected: row.Expected(), Seen: account(s.saw.phase, s.saw.message, end),
		Requests: requests, Bound: row.Requests, Seconds: time.Since(s.began).Seconds(),
	}

	if err = errors.Join(err, verdict, cleanErr); err != nil {
		result.Seen = s.Plain(joinSeen(result.Seen, err))
	}

	result.Passed = err == nil && result.Seen == result.Expected

	return result
}

func joinSeen(seen string, err error) string {
	if seen == "" {
		return "failed: " + err.Error()
	}

	return seen + "; failed: " + err.Error()
}

// verdict reads the audit log and judges the row. A request is written down
// before its goroutine ends, and those of the row were answered before its nodes
// were removed.
func (s *Stage) verdict() (int, error) {
	records, err := s.Lab.Audit()
	if err != nil {
		return 0, err
	}

	return s.judge(records)
}

// failed is the result of a row that was not played.
func (row *Row) failed(err error) Result {
	return Result{
		Name: row.Name, Half: row.Half, Fault: row.Fault, When: row.When, Lasts: row.Lasts,
		Expected: row.Expected(), Seen: "not played: " + plain(err.Error()), Bound: row.Requests,
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/talos-rebound/rebound/pkg/check"
)

// DefaultWaitTimeout is the same as that of talosctl health.
const DefaultWaitTimeout = 20 * time.Minute

const healthSubject = "waiting for DaemonSet pods to recover: "

// HealthOptions are what rebound health may be given.
type HealthOptions struct {
	Access Access
	// WaitTimeout is how long to wait; it has to be positive.
	WaitTimeout time.Duration
	// Output is the format of the result.
	Output Format
	// Poll only asks every five seconds. Otherwise the nodes are watched as well.
	Poll bool
}

// Health waits until the DaemonSet pods of all nodes are back. Text goes to out as it comes; with FormatJSON the result
// goes to out and what happens meanwhile to progress. ExitCode tells the exit code of the error.
func Health(ctx context.Context, options HealthOptions, out, progress io.Writer) error {
	if options.WaitTimeout <= 0 {
		return fmt.Errorf("--wait-timeout is %s, which has to be more than zero", options.WaitTimeout)
	}

	target, err := open(ctx, options.Access)
	if err != nil {
		return err
	}

	defer target.close()

	if options.Output == FormatText {
		progress = out
	}

	reporter := newReporter(progress)
	verdict, err := wait(ctx, target, options, reporter)

	reporter.Close()

	if options.Output == FormatJSON && verdict != nil {
		return errors.Join(err, write(out, options.Output, *verdict))
	}

	return err
}

// wait waits and reports. The verdict is nil if the nodes cannot be known.
func wait(ctx context.Context, target target, options HealthOptions, reporter *reporter) (*check.Verdict, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, options.WaitTimeout, fmt.Errorf("not recovered within %s", options.WaitTimeout))
	defer cancel()

	reporter.Update(healthSubject + "...")

	verdict, err := target.wait(ctx, check.WaitOptions{
		Poll: options.Poll,
		Report: func(verdict check.Verdict) {
			if !verdict.Settled() {
				reporter.Update(healthSubject + verdict.Reason)
			}
		},
	}, reporter)

	switch {
	case err == nil:
	case verdict == nil:
		return nil, err
	default:
		return verdict, ended(ctx, verdict.Reason)
	}

	switch verdict.Status {
	case check.StatusPassed:
		reporter.Finish(healthSubject + "OK")
		reporter.Finish(verdict.Reason)

		return verdict, nil
	case check.StatusSkipped:
		reporter.Finish(healthSubject + "SKIP")
	case check.StatusFailing, check.StatusWaiting:
		reporter.Update(healthSubject + verdict.Reason) // all refused
	}

	return verdict, errors.New(verdict.Reason)
}

// ended says why ctx has ended, and what was waited for.
func ended(ctx context.Context, last string) error {
	err := context.Cause(ctx)

	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}

	if last != "" {
		err = fmt.Errorf("%w; the last that was seen: %s", err, last)
	}

	return advised(err)
}

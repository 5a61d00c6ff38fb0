// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/talos-rebound/rebound/pkg/check"
)

// StatusOptions are what rebound status may be given.
type StatusOptions struct {
	Access Access
	// Socket is the path of the socket of an agent on this machine, which is asked in place of what Access says unless it is
	// empty.
	Socket string
	// Output is the format of the result.
	Output Format
}

// Status asks every node once and prints where it stands. A node that is not whole is a result, not an error. It is an
// error if no node answers.
func Status(ctx context.Context, options StatusOptions, out io.Writer) error {
	if options.Socket != "" {
		return statusOfAgent(ctx, options, out)
	}

	target, err := open(ctx, options.Access)
	if err != nil {
		return err
	}

	defer target.close()

	verdict, err := target.judge(ctx)

	switch {
	case err == nil:
		err = unanswered(verdict)
	case ExitCode(err) == ExitUsage:
		return err
	default:
		verdict = check.Verdict{Status: check.StatusFailing, Reason: err.Error()}
		err = advised(err)
	}

	if ctx.Err() != nil {
		return ended(ctx, "")
	}

	if len(verdict.Nodes) == 0 && options.Output == FormatText {
		return err // a table without nodes says nothing
	}

	return errors.Join(err, write(out, options.Output, verdict))
}

// unanswered is an error if no node said anything about itself.
func unanswered(verdict check.Verdict) error {
	switch err := errors.New(verdict.Reason); {
	case verdict.Refused():
		return err
	case slices.ContainsFunc(verdict.Nodes, func(node check.NodeVerdict) bool {
		return node.Answer.Outcome != check.OutcomeUnreachable && node.Answer.Outcome != check.OutcomeRefused
	}):
		return nil
	default:
		return advised(err)
	}
}

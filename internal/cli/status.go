// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/talos-rebound/rebound/pkg/check"
)

// StatusOptions are what rebound status may be given.
type StatusOptions struct {
	Access Access
	// Output is the format of the result.
	Output Format
}

// Status prints where every node stands now. It waits for nothing but the answers. That a node is not whole is a result
// and no error; that no node could be asked is one.
func Status(ctx context.Context, options StatusOptions, out io.Writer) (err error) {
	if err = options.Output.validate(); err != nil {
		return err
	}

	cluster, err := connect(ctx, options.Access)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, cluster.close()) }()

	nodes, err := cluster.members(ctx, func(string) {})
	if ctx.Err() != nil {
		return ended(ctx, err, "")
	}

	if err != nil && options.Output == FormatJSON && ExitCode(err) == ExitNotRecovered {
		return errors.Join(err, writeJSON(out, check.Verdict{Status: check.StatusFailing, Reason: err.Error()}))
	}

	if err != nil {
		return err
	}

	verdict := check.Judge(check.Fetch(ctx, cluster.client.COSI, nodes))

	if ctx.Err() != nil {
		return ended(ctx, ctx.Err(), "")
	}

	if options.Output == FormatJSON {
		err = writeJSON(out, verdict)
	} else {
		err = writeTable(out, verdict)
	}

	switch {
	case err != nil:
		return err
	case verdict.Refused():
		return errors.New(verdict.Reason)
	case !slices.ContainsFunc(verdict.Nodes, answered):
		return failure{errors.New(verdict.Reason)}
	default:
		return nil
	}
}

// answered tells whether a node said something about itself.
func answered(node check.NodeVerdict) bool {
	return node.Answer.Outcome != check.OutcomeUnreachable && node.Answer.Outcome != check.OutcomeRefused
}

func writeTable(out io.Writer, verdict check.Verdict) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)

	fmt.Fprintln(table, "NODE\tADDRESS\tVERDICT\tPHASE\tFOUND\tDELETED\tRECOVERED\tMESSAGE")

	for _, node := range verdict.Nodes {
		phase, found, deleted, recovered := "-", "-", "-", "-"

		if status := node.Answer.Status; status != nil {
			phase = status.Phase.String()
			found, deleted, recovered = strconv.Itoa(status.Counts.Found), strconv.Itoa(status.Counts.Deleted), strconv.Itoa(status.Counts.Recovered)
		}

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			node.Name, node.Answer.Node.Address, node.Status, phase, found, deleted, recovered, node.Reason)
	}

	if err := table.Flush(); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	return nil
}

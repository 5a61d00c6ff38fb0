// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"context"
	"errors"
	"strings"

	"github.com/cosi-project/runtime/pkg/state"
)

// AllRecovered returns nil if every node is whole and an error that names the culprits if not. It is one attempt, which
// fits in the 5 s that a PollingCondition of Talos gives to it, for 500 nodes at least.
//
// If no node has anything to check, it returns skip as it is: Talos v1.13 compares its ErrSkipAssertion by identity.
// Nodes are the addresses for the Talos API.
func AllRecovered(ctx context.Context, st state.State, nodes []string, skip error) error {
	verdict := Judge(Fetch(ctx, st, Nodes(nodes...)))

	switch verdict.Status {
	case StatusPassed:
		return nil
	case StatusSkipped:
		return skip
	default:
		return errors.New(reportable(verdict.Reason))
	}
}

// reportable keeps a reason from looking like the end of a check: the reporter of Talos v1.13 tells from the last
// characters of a line whether the check still runs ("..."), passed ("OK") or was skipped ("SKIP"), see
// pkg/cluster/check/reporter.go there.
func reportable(reason string) string {
	for strings.HasSuffix(reason, "...") {
		reason = strings.TrimRight(reason, ".") + "…"
	}

	if strings.HasSuffix(reason, "OK") || strings.HasSuffix(reason, "SKIP") {
		reason += "."
	}

	return reason
}

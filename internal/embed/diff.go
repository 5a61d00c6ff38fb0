// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"fmt"
	"io"

	"github.com/siderolabs/talos/pkg/machinery/textdiff"
)

// WriteDiff writes the plan as a unified diff, which git apply understands.
func (plan *Plan) WriteDiff(w io.Writer) error {
	for _, change := range plan.Changes {
		before, after := "a/"+change.Path, "b/"+change.Path

		if change.Old == nil {
			before = "/dev/null"
		}

		if change.New == nil {
			after = "/dev/null"
		}

		diff, err := textdiff.DiffWithCustomPaths(string(change.Old), string(change.New), before, after)
		if err != nil {
			return fmt.Errorf("failed to compare %q: %w", change.Path, err)
		}

		if _, err = io.WriteString(w, diff); err != nil {
			return fmt.Errorf("failed to write diff: %w", err)
		}
	}

	return nil
}

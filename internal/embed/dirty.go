// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
)

// Uncommitted returns the files that the plan edits and that have changes, other than rebound's, that are not committed:
// together with an edit they would be hard to tell apart. A folder that is not in a git repository has none.
func (plan *Plan) Uncommitted(ctx context.Context, dir string) ([]string, error) {
	if err := git(ctx, dir, nil, "rev-parse", "--verify", "--quiet", "HEAD"); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) || errors.Is(err, exec.ErrNotFound) {
			return nil, nil
		}

		return nil, fmt.Errorf("failed to ask git: %w", err)
	}

	var dirty []string

	for _, change := range plan.Changes {
		without, edited := plan.remove[change.Path]
		if !edited {
			continue
		}

		var committed bytes.Buffer

		if err := git(ctx, dir, &committed, "show", "HEAD:./"+change.Path); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}

			dirty = append(dirty, change.Path) // it is not committed at all

			continue
		}

		original, err := without(committed.Bytes())
		if err != nil || !bytes.Equal(original, plan.originals[change.Path]) {
			dirty = append(dirty, change.Path)
		}
	}

	return slices.Clip(dirty), nil
}

func git(ctx context.Context, dir string, out *bytes.Buffer, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)

	if out != nil {
		cmd.Stdout = out
	}

	return cmd.Run()
}

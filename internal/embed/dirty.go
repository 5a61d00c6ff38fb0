// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
)

// Uncommitted returns the files that the plan edits and that have changes, other than rebound's, that are not committed:
// together with an edit they would be easy to commit by mistake. A tree of which git does not know has none.
func (plan *Plan) Uncommitted(ctx context.Context, dir string) ([]string, error) {
	if _, err := committed(ctx, dir, goModPath); err != nil {
		return nil, ctx.Err()
	}

	var dirty []string

	for _, change := range plan.Changes {
		if change.original == nil {
			continue // a file of ours
		}

		text, err := committed(ctx, dir, change.Path)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}

		original, stripErr := strip(text)
		if err != nil || stripErr != nil || !bytes.Equal(original, change.original) {
			dirty = append(dirty, change.Path)
		}
	}

	return dirty, nil
}

// committed is a file of the repository that a folder is in, whatever the environment says.
func committed(ctx context.Context, dir, path string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "show", "HEAD:./"+path)

	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}

	return cmd.Output()
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Uncommitted returns the files that the plan edits and that have changes, other than rebound's, that are not committed:
// together with an edit they would be hard to tell apart. A tree that git does not track, or without a commit yet, has
// none.
func (plan *Plan) Uncommitted(ctx context.Context, dir string) ([]string, error) {
	if tracked, err := inRepository(dir); err != nil || !tracked {
		return nil, err
	}

	if _, err := git(ctx, dir, "rev-parse", "--is-inside-work-tree"); err != nil {
		return nil, err
	}

	if _, err := git(ctx, dir, "show", "HEAD:./"+goModPath); err != nil {
		return nil, ctx.Err() // it is in somebody else's repository, or not committed yet
	}

	var dirty []string

	for _, change := range plan.Changes {
		if change.original == nil {
			continue // a file of ours
		}

		committed, err := git(ctx, dir, "show", "HEAD:./"+change.Path)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}

		original, stripErr := strip(committed)
		if err != nil || stripErr != nil || !bytes.Equal(original, change.original) {
			dirty = append(dirty, change.Path)
		}
	}

	return dirty, nil
}

// inRepository tells whether a folder or one above it has something to do with git.
func inRepository(dir string) (bool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}

	for above := ""; above != dir; above, dir = dir, filepath.Dir(dir) {
		if _, err = os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true, nil
		}
	}

	return false, nil
}

// git runs git on the repository that a folder is in, whatever the environment says. The error has git's words.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)

	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}

	out, err := cmd.Output()

	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}

	if err != nil {
		return nil, fmt.Errorf("failed to ask git for uncommitted changes: %w", err)
	}

	return out, nil
}

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
	if !inRepository(dir) {
		return nil, nil
	}

	if _, err := git(ctx, dir, "rev-parse", "--is-inside-work-tree"); err != nil {
		return nil, err
	}

	if _, err := git(ctx, dir, "show", "HEAD:./"+goModPath); err != nil {
		return nil, ctx.Err() // it is in somebody else's repository, or not committed yet
	}

	var dirty []string

	for _, change := range plan.Changes {
		without, edited := plan.remove[change.Path]
		if !edited {
			continue
		}

		committed, err := git(ctx, dir, "show", "HEAD:./"+change.Path)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}

		original, removeErr := without(unixLines(committed))
		if err != nil || removeErr != nil || !bytes.Equal(original, unixLines(plan.originals[change.Path])) {
			dirty = append(dirty, change.Path)
		}
	}

	return dirty, nil
}

// inRepository tells whether a folder or one above it has something to do with git.
func inRepository(dir string) bool {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return false
	}

	for {
		if _, err = os.Lstat(filepath.Join(absolute, ".git")); err == nil {
			return true
		}

		above := filepath.Dir(absolute)
		if above == absolute {
			return false
		}

		absolute = above
	}
}

// unixLines undoes what git may have done to a text when it checked it out.
func unixLines(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) }

// git runs git on the repository that a folder is in, whatever the environment says. The error has git's words.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var out, words bytes.Buffer

	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &words

	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}

	err := cmd.Run()

	var exit *exec.ExitError

	switch {
	case errors.As(err, &exit) && words.Len() > 0:
		return nil, fmt.Errorf("failed to ask git for uncommitted changes: %s", strings.TrimSpace(words.String()))
	case err != nil:
		return nil, fmt.Errorf("failed to ask git for uncommitted changes: %w", err)
	default:
		return out.Bytes(), nil
	}
}

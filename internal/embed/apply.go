// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
)

// temporary is how the names begin under which files are written, in the tree itself so that a rename suffices. Only a run
// that was cut short leaves one.
const temporary = ".rebound-embed-"

// Files is the tree, to be written; *os.Root is one. Paths have slashes and are relative.
type Files interface {
	FS() fs.FS
	Lstat(path string) (fs.FileInfo, error)
	WriteFile(path string, content []byte, mode fs.FileMode) error
	Chmod(path string, mode fs.FileMode) error
	Rename(from, to string) error
	Remove(path string) error
}

// Apply makes the changes of a plan. It writes nothing if a file is not as the plan found it. If it is cut short, every
// file is as it was or as planned, and a new plan completes the changes or takes them back: what was inserted can be told
// apart in each file by itself.
func Apply(files Files, plan *Plan) error {
	for _, change := range plan.Changes {
		if err := checkUnchanged(files, change); err != nil {
			return err
		}
	}

	leftovers, err := fs.Glob(files.FS(), temporary+"*")
	if err != nil {
		return err
	}

	for _, path := range leftovers {
		if err = files.Remove(path); err != nil {
			return fmt.Errorf("failed to clean up after an interrupted run: %w", err)
		}
	}

	for i, change := range plan.Changes {
		if err = write(files, change); err != nil {
			return fmt.Errorf("failed to write %q, %d of %d files are changed; run rebound embed again to change all, or with --revert to take it out: %w",
				change.Path, i, len(plan.Changes), err)
		}
	}

	return nil
}

// checkUnchanged makes sure that a file is the one that the plan was made for.
func checkUnchanged(files Files, change Change) error {
	info, err := files.Lstat(change.Path)

	switch {
	case errors.Is(err, fs.ErrNotExist) && change.Old == nil:
		return nil
	case err != nil:
		return fmt.Errorf("failed to read %q: %w", change.Path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("failed to edit %q: it is no regular file", change.Path)
	}

	content, err := fs.ReadFile(files.FS(), change.Path)
	if err != nil {
		return fmt.Errorf("failed to read %q: %w", change.Path, err)
	}

	if change.Old == nil || !bytes.Equal(content, change.Old) {
		return fmt.Errorf("failed to edit %q: it has changed meanwhile", change.Path)
	}

	return nil
}

// write makes one change. The file keeps its mode, whatever the umask is.
func write(files Files, change Change) error {
	if change.New == nil {
		return files.Remove(change.Path)
	}

	mode := fs.FileMode(0o644)

	if info, err := files.Lstat(change.Path); err == nil {
		mode = info.Mode().Perm()
	}

	path := temporary + rand.Text()

	if err := files.WriteFile(path, change.New, 0o600); err != nil {
		return err
	}

	if err := files.Chmod(path, mode); err != nil {
		return err
	}

	return files.Rename(path, change.Path)
}

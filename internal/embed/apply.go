// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
)

// workFolder is where changes are prepared, in the tree itself so that a rename suffices. It exists only while changes
// are applied, or after that was cut short.
const workFolder = ".rebound-embed"

// journalPath names the changes that are being applied. While it exists, the tree may be anything between old and new.
const journalPath = workFolder + "/journal.json"

// Files is the tree, to be written; *os.Root is one. Paths have slashes and are relative.
type Files interface {
	ReadFile(path string) ([]byte, error)
	WriteFile(path string, content []byte, mode fs.FileMode) error
	Rename(from, to string) error
	Remove(path string) error
	RemoveAll(path string) error
	Mkdir(path string, mode fs.FileMode) error
	Chmod(path string, mode fs.FileMode) error
	Lstat(path string) (fs.FileInfo, error)
}

// Apply makes all changes of a plan or none. If it is cut short, by an error or by the end of the process (not of the
// machine), Recover makes it none; it has done so already when Apply returns an error, unless that says otherwise. Whoever
// calls it holds the Lock of the tree.
func Apply(files Files, plan *Plan) error {
	if len(plan.Changes) == 0 {
		return nil
	}

	modes, err := checkUnchanged(files, plan.Changes)
	if err != nil {
		return err
	}

	if err = files.Mkdir(workFolder, 0o700); err != nil {
		return fmt.Errorf("failed to apply the changes, nothing was changed: %w", err)
	}

	if err = apply(files, plan.Changes, modes); err == nil {
		return nil
	}

	if _, recoverErr := Recover(files); recoverErr != nil {
		return fmt.Errorf("failed to apply the changes: %w; and failed to take them back, run rebound embed again to do so: %w", err, recoverErr)
	}

	return fmt.Errorf("failed to apply the changes, nothing was changed: %w", err)
}

// checkUnchanged makes sure that the files are those that the plan was made for, and returns their modes.
func checkUnchanged(files Files, changes []Change) ([]fs.FileMode, error) {
	modes := make([]fs.FileMode, len(changes))

	for i, change := range changes {
		modes[i] = 0o644

		info, err := files.Lstat(change.Path)

		switch {
		case errors.Is(err, fs.ErrNotExist) && change.Old == nil:
			continue
		case err != nil:
			return nil, fmt.Errorf("failed to read %q: %w", change.Path, err)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("failed to edit %q: it is no regular file", change.Path)
		}

		content, err := files.ReadFile(change.Path)
		if err != nil {
			return nil, fmt.Errorf("failed to read %q: %w", change.Path, err)
		}

		if !bytes.Equal(content, change.Old) {
			return nil, fmt.Errorf("failed to edit %q: it has changed meanwhile", change.Path)
		}

		modes[i] = info.Mode().Perm()
	}

	return modes, nil
}

func apply(files Files, changes []Change, modes []fs.FileMode) error {
	for i, change := range changes {
		if change.New == nil {
			continue
		}

		if err := stage(files, staged(i), change.New, modes[i]); err != nil {
			return err
		}
	}

	journal, err := json.Marshal(changes)
	if err != nil {
		return err
	}

	// Only a journal that is complete has its name.
	if err = files.WriteFile(journalPath+".new", journal, 0o600); err != nil {
		return err
	}

	if err = files.Rename(journalPath+".new", journalPath); err != nil {
		return err
	}

	for i, change := range changes {
		if change.New == nil {
			err = files.Remove(change.Path)
		} else {
			err = files.Rename(staged(i), change.Path)
		}

		if err != nil {
			return err
		}
	}

	// From here on the tree is the new one.
	if err = files.Remove(journalPath); err != nil {
		return err
	}

	return files.RemoveAll(workFolder)
}

// stage writes a file with a mode, whatever the umask is and whatever an earlier run has left there.
func stage(files Files, path string, content []byte, mode fs.FileMode) error {
	if err := files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	if err := files.WriteFile(path, content, 0o600); err != nil {
		return err
	}

	return files.Chmod(path, mode)
}

func staged(i int) string { return path.Join(workFolder, strconv.Itoa(i)) }

// Recover takes back what an Apply that was cut short has changed, and tells whether there was something. A file that is
// neither as it was nor as it was to be is left alone, and so is everything else then.
func Recover(files Files) (bool, error) {
	if _, err := files.Lstat(workFolder); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("failed to look for an interrupted run: %w", err)
	}

	journal, err := files.ReadFile(journalPath)
	if errors.Is(err, fs.ErrNotExist) {
		// It had not begun, or had ended.
		return true, removeWorkFolder(files)
	}

	if err != nil {
		return false, fmt.Errorf("failed to read what an interrupted run has changed: %w", err)
	}

	var changes []Change

	if err = json.Unmarshal(journal, &changes); err != nil {
		return false, fmt.Errorf("failed to read what an interrupted run has changed: %q: %w", journalPath, err)
	}

	if err = takeBack(files, changes); err != nil {
		return false, err
	}

	return true, removeWorkFolder(files)
}

func takeBack(files Files, changes []Change) error {
	var back []int

	for i, change := range changes {
		content, err := files.ReadFile(change.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("failed to read %q: %w", change.Path, err)
		}

		switch missing := err != nil; {
		case missing == (change.Old == nil) && bytes.Equal(content, change.Old):
		case missing == (change.New == nil) && bytes.Equal(content, change.New):
			back = append(back, i)
		default:
			return fmt.Errorf("%q was edited after an interrupted run had changed it: restore it, or remove %q to keep it as it is", change.Path, workFolder)
		}
	}

	for _, i := range back {
		if err := restore(files, changes[i], staged(i)); err != nil {
			return fmt.Errorf("failed to restore %q: %w", changes[i].Path, err)
		}
	}

	return nil
}

func restore(files Files, change Change, temporary string) error {
	if change.Old == nil {
		return files.Remove(change.Path)
	}

	mode := fs.FileMode(0o644)

	if info, err := files.Lstat(change.Path); err == nil {
		mode = info.Mode().Perm()
	}

	if err := stage(files, temporary, change.Old, mode); err != nil {
		return err
	}

	return files.Rename(temporary, change.Path)
}

// removeWorkFolder removes the journal first, with which the tree is the old one or the new.
func removeWorkFolder(files Files) error {
	if err := files.Remove(journalPath); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to clean up after an interrupted run: %w", err)
	}

	if err := files.RemoveAll(workFolder); err != nil {
		return fmt.Errorf("failed to clean up after an interrupted run: %w", err)
	}

	return nil
}

// Interrupted tells whether there is something for Recover to do.
func Interrupted(files Files) bool {
	_, err := files.Lstat(workFolder)

	return err == nil
}

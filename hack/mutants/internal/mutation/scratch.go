// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// temporary is the folder for the temporary files of what runs in the copy at top, which is beside it.
func temporary(top string) string { return top + ".tmp" }

// makeCopy makes a copy of the files at top, with a folder for temporary files.
func makeCopy(ctx context.Context, names []string, from, top string) error {
	if err := os.MkdirAll(temporary(top), 0o700); err != nil {
		return fmt.Errorf("failed to make a scratch folder: %w", err)
	}

	return copyFiles(ctx, names, from, top)
}

// workFiles returns what is in a work tree: what git tracks and what it would, as it is there now, from the top of it.
func workFiles(ctx context.Context, source string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir = source

	var problem bytes.Buffer

	cmd.Stderr = &problem

	list, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("failed to list the files of %s: %w: %s", source, err, bytes.TrimSpace(problem.Bytes()))
	}

	var names []string

	for name := range strings.SplitSeq(string(list), "\x00") {
		// What is deleted is listed until that is committed.
		if info, err := os.Lstat(filepath.Join(source, name)); name != "" && err == nil && !info.IsDir() {
			names = append(names, name)
		}
	}

	return names, nil
}

// copyFiles copies files from one folder to another.
func copyFiles(ctx context.Context, names []string, from, to string) error {
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("failed to copy %q: %w", name, err)
		}
	}

	return nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}

	if err = os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}

	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}

		return os.Symlink(target, to)
	}

	in, err := os.Open(from)
	if err != nil {
		return err
	}

	defer in.Close() //nolint:errcheck // it is only read

	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}

	if _, err = io.Copy(out, in); err != nil {
		_ = out.Close()

		return err
	}

	return out.Close()
}

// moduleOf returns the folder of the module that a folder belongs to, both from the top of the copy.
func moduleOf(top, folder string) (string, error) {
	for dir := filepath.FromSlash(folder); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(top, dir, "go.mod")); err == nil {
			return dir, nil
		}

		if dir == "." {
			return "", fmt.Errorf("%s is in no Go module", folder)
		}
	}
}

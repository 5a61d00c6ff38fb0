// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
)

// onDisk writes the small tree of Talos to a folder.
func onDisk(t *testing.T) *os.Root {
	t.Helper()

	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, talos()))
	require.NoError(t, os.Chmod(filepath.Join(folder, "go.mod"), 0o600))

	root, err := os.OpenRoot(folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })

	return root
}

// read is everything that is in a tree.
func read(t *testing.T, root *os.Root) map[string]string {
	t.Helper()

	all := map[string]string{}

	require.NoError(t, fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		text, err := root.ReadFile(path)
		all[path] = string(text)

		return err
	}))

	return all
}

func newPlan(t *testing.T, root *os.Root) *embed.Plan {
	t.Helper()

	plan, err := embed.NewPlan(root.FS(), embed.Options{Version: "v0.1.0", Diagnostics: true})
	require.NoError(t, err)

	return plan
}

func TestApplyWritesThePlan(t *testing.T) {
	t.Parallel()

	root := onDisk(t)
	before := read(t, root)
	plan := newPlan(t, root)

	require.NoError(t, embed.Apply(root, plan))
	assert.Equal(t, contents(with(talos(), plan)), read(t, root), "and leaves nothing else")

	info, err := root.Stat("go.mod")
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "a file keeps its mode")

	revert, err := embed.NewRevertPlan(root.FS())
	require.NoError(t, err)
	require.NoError(t, embed.Apply(root, revert))
	assert.Equal(t, before, read(t, root))

	require.NoError(t, embed.Apply(root, &embed.Plan{}), "nothing to do is nothing to fail at")
}

var errInjected = errors.New("no space left on device")

// failing is a tree in which everything that writes fails from some point on: for good, as when the process ends, or
// once, as when a write fails.
type failing struct {
	*os.Root

	before int
	once   bool
}

func (f *failing) fail() error {
	f.before--

	if f.before == -1 || f.before < -1 && !f.once {
		return errInjected
	}

	return nil
}

func (f *failing) WriteFile(path string, content []byte, mode fs.FileMode) error {
	if err := f.fail(); err != nil {
		// Half of it is there.
		return errors.Join(err, f.Root.WriteFile(path, content[:len(content)/2], mode))
	}

	return f.Root.WriteFile(path, content, mode)
}

func (f *failing) Rename(from, to string) error {
	if err := f.fail(); err != nil {
		return err
	}

	return f.Root.Rename(from, to)
}

func (f *failing) Remove(path string) error {
	if err := f.fail(); err != nil {
		return err
	}

	return f.Root.Remove(path)
}

func (f *failing) RemoveAll(path string) error {
	if err := f.fail(); err != nil {
		return err
	}

	return f.Root.RemoveAll(path)
}

func (f *failing) Chmod(path string, mode fs.FileMode) error {
	if err := f.fail(); err != nil {
		return err
	}

	return f.Root.Chmod(path, mode)
}

func (f *failing) Mkdir(path string, mode fs.FileMode) error {
	if err := f.fail(); err != nil {
		return err
	}

	return f.Root.Mkdir(path, mode)
}

// TestAnInterruptedRunLeavesTheOldOrTheNewTree ends the process at every single write.
func TestAnInterruptedRunLeavesTheOldOrTheNewTree(t *testing.T) {
	t.Parallel()

	for n := 0; ; n++ {
		root := onDisk(t)
		before := read(t, root)
		plan := newPlan(t, root)
		after := contents(with(talos(), plan))

		files := &failing{Root: root, before: n}
		err := embed.Apply(files, plan)

		if files.before >= 0 {
			require.NoError(t, err)
			require.Greater(t, n, 2*len(plan.Changes), "every file is prepared and put in place")

			return
		}

		require.ErrorIs(t, err, errInjected)

		interrupted, err := embed.Recover(root)
		require.NoError(t, err)
		assert.Equal(t, n > 0, interrupted, "write %d", n)

		now := read(t, root)
		if n < 4*len(plan.Changes)+4 {
			assert.True(t, maps.Equal(before, now), "write %d", n)
		} else {
			assert.True(t, maps.Equal(after, now), "write %d: all was in place", n)
		}

		again, err := embed.Recover(root)
		require.NoError(t, err)
		assert.False(t, again)
	}
}

// TestAFailedWriteIsTakenBack lets every single write fail, and the next ones succeed.
func TestAFailedWriteIsTakenBack(t *testing.T) {
	t.Parallel()

	for n := 0; ; n++ {
		root := onDisk(t)
		before := read(t, root)
		plan := newPlan(t, root)

		files := &failing{Root: root, before: n, once: true}
		err := embed.Apply(files, plan)

		if files.before >= 0 {
			require.NoError(t, err)

			return
		}

		require.ErrorIs(t, err, errInjected)

		if now := read(t, root); len(now) == len(before) {
			require.ErrorContains(t, err, "nothing was changed")
			assert.True(t, maps.Equal(before, now), "write %d", n)
		} else {
			assert.True(t, maps.Equal(contents(with(talos(), plan)), now), "write %d: all was in place", n)
		}
	}
}

func TestAnInterruptedRecoveryCanBeRepeatedOnReadOnlyFiles(t *testing.T) {
	t.Parallel()

	for n := range 8 {
		root := onDisk(t)
		require.NoError(t, root.Chmod("go.mod", 0o444))

		before := read(t, root)
		plan := newPlan(t, root)

		// All files are in place, and then the process ends; and ends again in the middle of taking them back.
		require.Error(t, embed.Apply(&failing{Root: root, before: 4*len(plan.Changes) + 3}, plan))

		_, err := embed.Recover(&failing{Root: root, before: n})
		require.ErrorIs(t, err, errInjected)

		_, err = embed.Recover(root)
		require.NoError(t, err, "write %d", n)
		assert.True(t, maps.Equal(before, read(t, root)), "write %d", n)

		info, err := root.Stat("go.mod")
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o444), info.Mode().Perm())
	}
}

func TestApplyLeavesAloneWhatAnotherRunIsAt(t *testing.T) {
	t.Parallel()

	root := onDisk(t)
	plan := newPlan(t, root)

	require.NoError(t, root.Mkdir(".rebound-embed", 0o700))
	require.NoError(t, root.WriteFile(".rebound-embed/0", []byte("theirs"), 0o600))

	before := read(t, root)
	require.ErrorContains(t, embed.Apply(root, plan), "nothing was changed")
	assert.Equal(t, before, read(t, root))
}

func TestOnlyOneRunIsAtATree(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()

	unlock, err := embed.Lock(dir)
	require.NoError(t, err)

	_, err = embed.Lock(dir)
	require.ErrorContains(t, err, "another rebound embed is at work in ")

	require.NoError(t, unlock())

	unlock, err = embed.Lock(dir)
	require.NoError(t, err)
	require.NoError(t, unlock())
}

func TestWhatWasEditedMeanwhileIsNotOverwritten(t *testing.T) {
	t.Parallel()

	root := onDisk(t)
	plan := newPlan(t, root)

	require.NoError(t, root.WriteFile(statePath, []byte("package v1alpha2\n"), 0o644))

	before := read(t, root)
	require.ErrorContains(t, embed.Apply(root, plan), `failed to edit "`+statePath+`": it has changed meanwhile`)
	assert.Equal(t, before, read(t, root))

	require.NoError(t, root.Remove(statePath))
	require.NoError(t, root.Symlink("elsewhere.go", statePath))
	require.ErrorContains(t, embed.Apply(root, plan), "it is no regular file")
}

func TestRecoverLeavesAloneWhatSomebodyEdited(t *testing.T) {
	t.Parallel()

	root := onDisk(t)
	plan := newPlan(t, root)

	// The process ends after the first file was put in place.
	require.Error(t, embed.Apply(&failing{Root: root, before: 3*len(plan.Changes) + 4}, plan))
	require.NoError(t, root.WriteFile("go.mod", []byte("module github.com/siderolabs/talos\n"), 0o644))

	before := read(t, root)
	_, err := embed.Recover(root)
	require.ErrorContains(t, err, `"go.mod" was edited after an interrupted run had changed it: restore it, or remove ".rebound-embed" to keep it as it is`)
	assert.Equal(t, before, read(t, root))
}

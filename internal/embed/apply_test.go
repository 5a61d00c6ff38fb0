// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
)

var everything = embed.Options{Version: "v0.1.0", Diagnostics: true}

func TestApplyWritesThePlan(t *testing.T) {
	t.Parallel()

	root := onDisk(t, talos(t))
	before := read(t, root.FS())

	require.NoError(t, root.Chmod("go.mod", 0o600))
	require.NoError(t, root.Chmod(statePath, 0o464))

	plan, err := embed.NewPlan(root.FS(), everything)
	require.NoError(t, err)
	require.NoError(t, embed.Apply(root, plan))
	assert.Equal(t, read(t, with(talos(t), plan)), read(t, root.FS()), "and leaves nothing else")

	apply(t, root, nil)
	assert.Equal(t, before, read(t, root.FS()))

	for path, mode := range map[string]fs.FileMode{"go.mod": 0o600, statePath: 0o464} {
		info, err := root.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), "a file keeps its mode")
	}

	require.NoError(t, embed.Apply(root, &embed.Plan{}), "nothing to do is nothing to fail at")
}

var errKilled = errors.New("killed")

// killed is a tree to which nothing can be written any more after some writes.
type killed struct {
	*os.Root

	left int
}

func (k *killed) do(write func() error) error {
	if k.left--; k.left < 0 {
		return errKilled
	}

	return write()
}

func (k *killed) WriteFile(path string, content []byte, mode fs.FileMode) error {
	err := k.do(func() error { return k.Root.WriteFile(path, content, mode) })
	if k.left == -1 {
		err = errors.Join(err, k.Root.WriteFile(path, content[:len(content)/2], mode)) // half of it is there
	}

	return err
}

func (k *killed) Rename(from, to string) error {
	return k.do(func() error { return k.Root.Rename(from, to) })
}

func (k *killed) Remove(path string) error {
	return k.do(func() error { return k.Root.Remove(path) })
}

func (k *killed) Chmod(path string, mode fs.FileMode) error {
	return k.do(func() error { return k.Root.Chmod(path, mode) })
}

// TestAnInterruptedRunIsCompletedOrTakenBack ends the process at every single write of embedding and of taking out.
func TestAnInterruptedRunIsCompletedOrTakenBack(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(t), everything)
	require.NoError(t, err)

	before, after := read(t, talos(t)), read(t, with(talos(t), plan))

	// interrupt returns a tree in which a run had so many writes, and whether that were all.
	interrupt := func(embedding bool, writes int) (*os.Root, bool) {
		root := onDisk(t, talos(t))
		if !embedding {
			apply(t, root, &everything)
		}

		plan, err := embed.NewRevertPlan(root.FS())
		if embedding {
			plan, err = embed.NewPlan(root.FS(), everything)
		}

		require.NoError(t, err)

		files := &killed{Root: root, left: writes}

		if err = embed.Apply(files, plan); err != nil {
			require.ErrorIs(t, err, errKilled)
			require.ErrorContains(t, err, "run rebound embed again to change all, or with --revert to take it out")
		}

		return root, files.left >= 0
	}

	for _, embedding := range []bool{true, false} {
		for writes := 0; ; writes++ {
			root, done := interrupt(embedding, writes)
			if done {
				require.Greater(t, writes, 2*len(plan.Changes), "nothing was interrupted")

				break
			}

			now := read(t, root.FS())
			maps.DeleteFunc(now, func(path, _ string) bool { return strings.HasPrefix(path, ".rebound-embed-") })

			if !maps.Equal(now, before) && !maps.Equal(now, after) {
				assert.NotContains(t, now["go.mod"], embed.Module, "a tree that is neither must not build")
			}

			apply(t, root, &everything)
			assert.True(t, maps.Equal(after, read(t, root.FS())), "completed after write %d", writes)

			root, _ = interrupt(embedding, writes)
			apply(t, root, nil)
			assert.True(t, maps.Equal(before, read(t, root.FS())), "taken back after write %d", writes)
		}
	}
}

func TestWhatWasEditedMeanwhileIsNotOverwritten(t *testing.T) {
	t.Parallel()

	for says, edit := range map[string]func(root *os.Root) error{
		`failed to edit "` + statePath + `": it has changed meanwhile`: func(root *os.Root) error {
			return root.WriteFile(statePath, []byte("package v1alpha2\n"), 0o644)
		},
		`failed to edit "` + statePath + `": it is no regular file`: func(root *os.Root) error {
			return errors.Join(root.Remove(statePath), root.Symlink("v1alpha2_controller.go", statePath))
		},
		`failed to edit "` + checkPath + `": it has changed meanwhile`: func(root *os.Root) error {
			return root.WriteFile(checkPath, nil, 0o644)
		},
		`failed to read "` + controllerPath + `": `: func(root *os.Root) error { return root.Remove(controllerPath) },
	} {
		root := onDisk(t, talos(t))
		plan, err := embed.NewPlan(root.FS(), everything)
		require.NoError(t, err)
		require.NoError(t, edit(root))

		before := read(t, root.FS())

		require.ErrorContains(t, embed.Apply(root, plan), says)
		assert.Equal(t, before, read(t, root.FS()))
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
)

const (
	controllerPath  = "internal/app/machined/pkg/runtime/v1alpha2/v1alpha2_controller.go"
	statePath       = "internal/app/machined/pkg/runtime/v1alpha2/v1alpha2_state.go"
	checksPath      = "pkg/cluster/check/default.go"
	checkPath       = "pkg/cluster/check/rebound.go"
	checksList      = "internal/app/machined/pkg/controllers/runtime/internal/diagnostics/diagnostic.go"
	diagnosticPath  = "internal/app/machined/pkg/controllers/runtime/internal/diagnostics/rebound.go"
	diagnosticsPath = "internal/app/machined/pkg/controllers/runtime/diagnostics.go"
	tagPath         = "pkg/machinery/gendata/data/tag"
)

// talos is a small tree with the shapes that matter. Every call returns a new one.
func talos(t *testing.T) fstest.MapFS {
	t.Helper()

	archive, err := txtar.ParseFile("testdata/talos.txtar")
	require.NoError(t, err)

	tree := fstest.MapFS{}

	for _, file := range archive.Files {
		tree[file.Name] = &fstest.MapFile{Data: file.Data, Mode: 0o644}
	}

	return tree
}

// with is the tree after a plan.
func with(tree fstest.MapFS, plan *embed.Plan) fstest.MapFS {
	after := maps.Clone(tree)

	for _, change := range plan.Changes {
		if change.New == nil {
			delete(after, change.Path)
		} else {
			after[change.Path] = &fstest.MapFile{Data: change.New, Mode: 0o644}
		}
	}

	return after
}

// replaced is the tree with something else in a file.
func replaced(t *testing.T, tree fstest.MapFS, path, old, replacement string) fstest.MapFS {
	t.Helper()
	require.Contains(t, string(tree[path].Data), old)

	tree[path] = &fstest.MapFile{Data: bytes.Replace(tree[path].Data, []byte(old), []byte(replacement), 1), Mode: 0o644}

	return tree
}

// read is everything that is in a tree, by path.
func read(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()

	texts := map[string]string{}

	require.NoError(t, fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		text, err := fs.ReadFile(tree, path)
		texts[path] = string(text)

		return err
	}))

	return texts
}

// onDisk writes a tree to a folder.
func onDisk(t *testing.T, tree fs.FS) *os.Root {
	t.Helper()

	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, tree))

	root, err := os.OpenRoot(folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })

	return root
}

// buildable is the small tree with what the go command needs to build it: the versions are those of this repository.
func buildable(t *testing.T) *os.Root {
	t.Helper()

	tree := talos(t)

	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)

		tree[name] = &fstest.MapFile{Data: []byte(strings.Replace(string(text), "module "+embed.Module, "module github.com/siderolabs/talos", 1)), Mode: 0o644}
	}

	return onDisk(t, tree)
}

// apply embeds rebound into a tree, or takes it out with no options.
func apply(t *testing.T, root *os.Root, options *embed.Options) {
	t.Helper()

	plan, err := embed.NewRevertPlan(root.FS())
	if options != nil {
		plan, err = embed.NewPlan(root.FS(), *options)
	}

	require.NoError(t, err)
	require.NoError(t, embed.Apply(root, plan))
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
)

// FuzzInsertAndTakeOut has a file of Talos hold anything. Whatever is inserted can be taken out again byte for byte.
func FuzzInsertAndTakeOut(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/talos.txtar")
	require.NoError(f, err)

	paths := []string{"go.mod", controllerPath, statePath, checksPath, checksList}

	for _, file := range archive.Files {
		for i, path := range paths {
			if file.Name == path {
				f.Add(i, string(file.Data))
				f.Add(i, string(file.Data)+"\n// rebound embed\n")
				f.Add(i, strings.ReplaceAll(string(file.Data), "\n\n", "\n\n\n"))
			}
		}
	}

	f.Fuzz(func(t *testing.T, which int, text string) {
		tree := talos(t)
		path := paths[uint(which)%uint(len(paths))]
		tree[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}

		// A line that ends as ours do is ours.
		clean, err := embed.NewRevertPlan(tree)
		if err != nil || len(clean.Changes) > 0 {
			return
		}

		plan, err := embed.NewPlan(tree, everything)
		if err != nil {
			return
		}

		embedded := with(tree, plan)

		revert, err := embed.NewRevertPlan(embedded)
		require.NoError(t, err)
		assert.Equal(t, read(t, tree), read(t, with(embedded, revert)))

		again, err := embed.NewPlan(embedded, everything)
		require.NoError(t, err)
		assert.Empty(t, again.Changes)
	})
}

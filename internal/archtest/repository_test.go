// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// top is the top of the repository, seen from this folder.
var top = filepath.Join("..", "..")

// TestRepository runs every guard over the repository.
func TestRepository(t *testing.T) {
	t.Parallel()

	// Besides reading the sources this tells the go command's test cache, which does not see what go list and git read,
	// that the result depends on every folder of the repository.
	packages, err := parseTree(os.DirFS(top))
	require.NoError(t, err)
	require.NotEmpty(t, codeUnder(packages, []string{"internal/archtest"}), "the repository was not found")
	require.NotEmpty(t, codeUnder(packages, pureFolders), "nothing to guard: have pureFolders been moved?")
	require.NotEmpty(t, codeUnder(packages, linkedFolders), "nothing to guard: have linkedFolders been moved?")

	t.Run("imports follow the arrows", func(t *testing.T) {
		t.Parallel()

		assertNone(t, checkImportDirection(packages))
	})

	t.Run("every package says what it is", func(t *testing.T) {
		t.Parallel()

		assertNone(t, checkPackageComments(packages))
	})

	t.Run("the core does not read the clock and has no goroutines", func(t *testing.T) {
		t.Parallel()

		assertNone(t, checkPureSource(packages))
	})

	t.Run("machined can drop dead code", func(t *testing.T) {
		t.Parallel()

		assertNone(t, checkMethodLookup(packages))
	})

	t.Run("the core reaches no client", func(t *testing.T) {
		t.Parallel()

		graph, err := listImports(top)
		require.NoError(t, err)

		for _, folder := range pureFolders {
			assert.Contains(t, graph, modulePath+"/"+folder, "nothing to guard: have pureFolders been moved?")
		}

		assertNone(t, checkPureImports(graph))
	})

	t.Run("the root module does not require Kubernetes itself", func(t *testing.T) {
		t.Parallel()

		modules, err := listModules(top)
		require.NoError(t, err)
		assert.Contains(t, modules, modulePath)
		assertNone(t, checkModules(modules))
	})

	t.Run("nothing new lies at the top level", func(t *testing.T) {
		t.Parallel()

		if _, err := os.Stat(filepath.Join(top, ".git")); errors.Is(err, fs.ErrNotExist) {
			t.Skip("not a git checkout")
		}

		// For the test cache: git writes the index whenever it tracks another file. A work tree has it elsewhere.
		_, _ = os.Stat(filepath.Join(top, ".git", "index"))

		files, err := listTracked(top)
		require.NoError(t, err)
		assert.Contains(t, files, "go.mod")
		assertNone(t, checkTopLevel(files))
	})
}

// assertNone prints each violation on a line of its own.
func assertNone(t *testing.T, violations []string) {
	t.Helper()

	if len(violations) > 0 {
		t.Errorf("%d violations:\n%s", len(violations), strings.Join(violations, "\n"))
	}
}

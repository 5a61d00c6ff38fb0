// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
)

func edit(t *testing.T, root *os.Root, path, old, replacement string) {
	t.Helper()

	text, err := root.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, root.WriteFile(path, []byte(strings.Replace(string(text), old, replacement, 1)), 0o644))
}

func TestVerifyRegistersEverything(t *testing.T) {
	t.Parallel()

	if testing.Short() {
		t.Skip("it builds a small machined")
	}

	for _, tc := range []struct {
		name string
		edit func(t *testing.T, root *os.Root)
		says string
	}{
		{name: "a tree that will start", edit: func(*testing.T, *os.Root) {}},
		{
			name: "two controllers of the same name",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, controllerPath, "&block.DisksController{", "&block.DisksController{},\n\t\t&block.DisksController{")
			},
			says: `controller "block.DisksController" conflicts: controller "block.DisksController" already registered`,
		},
		{
			name: "two controllers for one output",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, controllerPath, "&block.DisksController{", "block.NewRivalController(),\n\t\t&block.DisksController{")
			},
			says: `controller "recovery.DaemonSetRecoveryController" conflicts: `,
		},
		{
			name: "two definitions of one resource",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, statePath, "&v1alpha1.Service{},", "&v1alpha1.Service{}, &v1alpha1.Service{},")
			},
			says: "the resource definitions conflict: ",
		},
		{
			name: "something that does not compile",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, "pkg/cluster/check/check.go", "Client(endpoints ...string) (*client.Client, error)", "Client(*client.Client)")
			},
			says: "failed to type-check the edited packages: ",
		},
		{
			name: "a controller that cannot be made outside of machined",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, controllerPath, "&block.DisksController{\n\t\t\tMode: ctrl.mode,\n\t\t}", "func() controller.Controller { return &block.DisksController{} }()")
			},
			says: controllerPath + ": line 21: this controller cannot be made outside of machined",
		},
		{
			name: "a tree without rebound",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				apply(t, root, nil)
			},
			says: "rebound is not embedded: nothing of it is in " + controllerPath,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			root := buildable(t)
			repository, err := filepath.Abs("../..")
			require.NoError(t, err)

			apply(t, root, &embed.Options{Dir: repository, Diagnostics: true})
			tc.edit(t, root)

			before := read(t, root.FS())

			var progress bytes.Buffer

			err = embed.Verify(t.Context(), root.Name(), &progress)

			if tc.says == "" {
				require.NoError(t, err)
				assert.Contains(t, progress.String(), "5 controllers registered")
			} else {
				require.ErrorContains(t, err, tc.says)
			}

			assert.Equal(t, before, read(t, root.FS()), "nothing is written to the tree")
		})
	}
}

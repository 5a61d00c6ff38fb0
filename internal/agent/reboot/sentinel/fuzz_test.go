// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/agent/reboot/sentinel"
)

// FuzzResolve follows links that may lead anywhere. None leads out of the root.
func FuzzResolve(f *testing.F) {
	f.Add("/var/run/reboot-required", "/run")
	f.Add("a/b", "../../../../../..")
	f.Add("a/a/a", "a")
	f.Add("//a/./../a", "/a/..")

	f.Fuzz(func(t *testing.T, path, target string) {
		root := t.TempDir()
		first, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")

		// Not every name can be one, and then there is nothing there.
		if os.Symlink(target, filepath.Join(root, filepath.Join("/", first))) != nil {
			return
		}

		folders, exists, err := sentinel.Resolve(root, path)
		for _, folder := range folders {
			assert.True(t, folder == root || strings.HasPrefix(folder, root+"/"), folder)
		}

		assert.False(t, exists && err != nil)
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubeconfig_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/kubeconfig"
)

// FuzzLoad reads a file that may be anything. Either it can be used, or the error says on one line why not.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(first), "")
	f.Add([]byte("{current-context: a, contexts: [{name: a}]}"), "a")
	f.Add([]byte("current-context: \"\\e[31m\"\n"), "\x1b")

	path := filepath.Join(f.TempDir(), "kubeconfig")

	f.Fuzz(func(t *testing.T, content []byte, context string) {
		require.NoError(t, os.WriteFile(path, content, 0o600))

		config, err := kubeconfig.Load(path, context)
		if err != nil {
			assert.Nil(t, config)
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "\x1b")

			return
		}

		assert.NotEmpty(t, config.Host)
	})
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestUnknownVersionIsRefusedWithTheKnownOnes is about versions that make would
// pass on.
func TestUnknownVersionIsRefusedWithTheKnownOnes(t *testing.T) {
	t.Parallel()

	for _, version := range []string{"1.33", "go", "../lab/go", "1.34.4", " "} {
		path := filepath.Join(t.TempDir(), "kubernetes")

		output, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "kubernetes", "build.sh"), version, path).CombinedOutput()
		require.Error(t, err, version)
		assert.Regexp(t, `known are: 1\.\d+( 1\.\d+)+\n$`, string(output))
		assert.NoFileExists(t, path)
	}
}

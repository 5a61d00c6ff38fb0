// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package show_test

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

func TestProgressWritesPlainLinesWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer

	progress := show.NewProgress(&out, 2, "worker-a")
	progress.Node("worker-a", "booting")
	progress.Done("worker-a", "whole again after 1 s")
	progress.Node("worker-a", "booting")

	assert.Equal(t, "worker-a 1/2: booting\nworker-a 1/2: whole again after 1 s\nworker-a 2/2: booting\n",
		regexp.MustCompile(`(?m)^ *[0-9.]+ s  `).ReplaceAllString(out.String(), ""))
}

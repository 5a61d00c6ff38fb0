// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/faults"
)

func TestTextReadsTheSameInEveryRun(t *testing.T) {
	t.Parallel()

	stage := &faults.Stage{}

	for text, want := range map[string]string{
		`row-12/proxy: cannot delete`:                                          `proxy: cannot delete`,
		`failed to read node "row-7-a": not found`:                             `failed to read node "NODE-a": not found`,
		`Get "https://127.0.0.1:40001/api/v1/nodes/row-7": EOF`:                `Get "SERVER": EOF`,
		`dial tcp 127.0.0.1:6443: connection refused`:                          `dial tcp SERVER: connection refused`,
		`failed to load kubeconfig "/srv/rebound-lab-12/row-7/etc/kubeconfig"`: `failed to load kubeconfig "…/kubeconfig"`,
		"two\n  lines": "two lines",
	} {
		assert.Equal(t, want, stage.Plain(text))
	}
}

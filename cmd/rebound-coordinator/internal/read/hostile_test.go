// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// TestWhatANodeSaysIsBoundedAndPrintable has what a node writes on its own Node and what comes to be shown.
func TestWhatANodeSaysIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()

	hostile, err := json.Marshal(ctest.Hostile())
	require.NoError(t, err)

	object := &corev1.Node{}
	object.Status.NodeInfo.BootID = ctest.Hostile()
	object.Annotations = map[string]string{
		v1alpha1.AgentAnnotation: fmt.Sprintf(`{"bootID":%[1]s,"wanted":true,"reason":%[1]s,"problem":%[1]s}`, hostile),
		specs.NodeAnnotation:     fmt.Sprintf(`{"host":%[1]s,"bootID":%[1]s,"message":%[1]s}`, hostile),
	}

	node := read.NodeFacts(object)

	for text, limit := range map[string]int{
		node.BootID: 64, node.Agent.BootID: 64, node.Agent.Reason: 256, node.Agent.Problem: 256, node.Recovery.BootID: 64,
		node.Recovery.Message: 512,
	} {
		assert.NotEmpty(t, text)
		ctest.AssertPrintable(t, text, limit)
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// agent is a socket as an agent has it, whose node has two DaemonSets to recover.
func agent(t *testing.T) string {
	t.Helper()

	node := ctest.NewCluster(t).AddNode(t, "worker")
	node.Say(t, recovery.RecoveryStatusSpec{
		NodeName: "worker", Phase: specs.PhaseDegraded, Message: "logging/fluent-bit: denied", Counts: specs.Counts{Found: 2, Deleted: 1},
	})

	for id, spec := range map[string]recovery.DaemonSetRecoverySpec{
		"logging/fluent-bit": {
			Phase: specs.DaemonSetPhaseBlocked, FailedPod: "fluent-bit-9k4mz", Reason: "NodeShutdown", Attempts: 1,
			LastError: "admission webhook\n\x1b[31mdenied\x1b[0m " + strings.Repeat("x", 1000),
		},
		"kube-system/cilium": {
			Phase: specs.DaemonSetPhaseReplacing, FailedPod: "cilium-x7k2p", Reason: "Terminated", Attempts: 2,
			Replacement: "cilium-b8vvt", ReplacementStatus: "Pending: ImagePullBackOff",
		},
	} {
		res := recovery.NewDaemonSetRecovery(id)
		*res.TypedSpec() = spec
		node.Create(t, res)
	}

	return strings.TrimPrefix(node.Target(), "unix://")
}

func TestStatusOfAnAgentHasALineForEachDaemonSet(t *testing.T) {
	t.Parallel()

	socket := agent(t)

	var out bytes.Buffer

	require.NoError(t, cli.Status(t.Context(), cli.StatusOptions{Socket: socket, Output: cli.FormatText}, &out))

	// The last error is as long as there is room for.
	const last = "admission webhook [31mdenied [0m "

	assert.Equal(t, `NODE     ADDRESS   VERDICT   PHASE      FOUND   DELETED   RECOVERED   MESSAGE
worker   -         failing   degraded   2       1         0           logging/fluent-bit: denied

DAEMONSET            PHASE       FAILED POD         REASON         ATTEMPTS   REPLACEMENT                                LAST ERROR
kube-system/cilium   replacing   cilium-x7k2p       Terminated     2          cilium-b8vvt (Pending: ImagePullBackOff)   -
logging/fluent-bit   blocked     fluent-bit-9k4mz   NodeShutdown   1          -                                          `+
		last+strings.Repeat("x", 300-len(last))+"…\n", out.String())

	out.Reset()

	require.NoError(t, cli.Status(t.Context(), cli.StatusOptions{Socket: socket, Output: cli.FormatJSON}, &out))
	assert.Contains(t, out.String(), `"daemonSets": [
        {
          "name": "kube-system/cilium",
          "phase": "replacing",
          "failedPod": "cilium-x7k2p",
          "reason": "Terminated",
          "attempts": 2,
          "replacement": "cilium-b8vvt",
          "replacementStatus": "Pending: ImagePullBackOff",
          "lastError": ""
        },`)
	assert.NotContains(t, out.String(), "\x1b")
}

func TestStatusOfAnAgentTakesRights(t *testing.T) {
	t.Parallel()

	if os.Geteuid() == 0 {
		t.Skip("root may open every socket")
	}

	folder := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(folder, 0))

	err := cli.Status(t.Context(), cli.StatusOptions{Socket: filepath.Join(folder, "agent.sock")}, &bytes.Buffer{})
	require.ErrorContains(t, err, "permission denied; run this as root")
	assert.Equal(t, cli.ExitUsage, cli.ExitCode(err))
}

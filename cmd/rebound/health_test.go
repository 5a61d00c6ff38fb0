// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const subject = "waiting for DaemonSet pods to recover: "

// command is a rebound that runs while the test goes on.
type command struct {
	*exec.Cmd

	lines  *bufio.Scanner
	stderr bytes.Buffer
}

func startRebound(t *testing.T, cluster *ctest.Cluster, args ...string) *command {
	t.Helper()

	folder := t.TempDir()
	writeTalosconfigs(t, cluster, folder)

	return start(t, "TALOSCONFIG="+filepath.Join(folder, "talosconfig"), args...)
}

// start starts a rebound with one more variable in its environment.
func start(t *testing.T, variable string, args ...string) *command {
	t.Helper()

	cmd := &command{Cmd: exec.CommandContext(t.Context(), "rebound", args...)}
	cmd.Env = append(os.Environ(), variable)
	cmd.Stderr = &cmd.stderr

	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)

	cmd.lines = bufio.NewScanner(stdout)

	require.NoError(t, cmd.Start())

	return cmd
}

// next is the next line on stdout; empty at the end.
func (cmd *command) next() string {
	cmd.lines.Scan()

	return cmd.lines.Text()
}

func TestHealthPrintsALinePerStateChange(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	node := cluster.AddNode(t, "worker-a")
	cmd := startRebound(t, cluster, "health", "-n", "worker-a")

	assert.Equal(t, subject+"...", cmd.next())
	assert.Equal(t, subject+"worker-a: no recovery status yet, it has just booted", cmd.next())

	node.Say(t, recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovering, Message: "kube-system/cilium: waiting for the replacement of cilium-x7k2p"})
	assert.Equal(t, subject+"worker-a: kube-system/cilium: waiting for the replacement of cilium-x7k2p", cmd.next())

	node.Say(t, recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovered})
	assert.Equal(t, subject+"OK", cmd.next())
	assert.Equal(t, "1 node recovered", cmd.next())
	assert.Empty(t, cmd.next())

	require.NoError(t, cmd.Wait())
	assert.Empty(t, cmd.stderr.String())
}

func TestCtrlCEndsHealth(t *testing.T) {
	t.Parallel()

	for name, args := range map[string][]string{
		"while it watches":         {"health", "-n", "worker-a"},
		"while it polls":           {"health", "-n", "worker-a", "--poll"},
		"while the endpoint hangs": {"health", "-n", "worker-b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			cluster.AddNode(t, "worker-a")
			cluster.AddNode(t, "worker-b").Hang(t)

			cmd := startRebound(t, cluster, args...)
			cmd.next()

			if args[2] == "worker-a" {
				cmd.next()
			}

			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			require.Error(t, cmd.Wait())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			assert.Contains(t, cmd.stderr.String(), "rebound: interrupted")
			assert.NotContains(t, cmd.stderr.String(), "canceled")
		})
	}
}

// TestHealthWaitsForMembersThatTheClusterComesToKnow is about an endpoint that has just booted.
func TestHealthWaitsForMembersThatTheClusterComesToKnow(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	first, second := cluster.AddNode(t, "worker-a"), cluster.AddNode(t, "worker-b")
	cluster.AddMember(t, "worker-a", netip.MustParseAddr("10.5.0.2"))

	cmd := startRebound(t, cluster, "health")
	cmd.next()
	assert.Equal(t, subject+"worker-a: no recovery status yet, it has just booted", cmd.next())

	cluster.AddMember(t, "worker-b", netip.MustParseAddr("10.5.0.3"))
	first.Say(t, recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovered})
	assert.Equal(t, subject+"worker-b: no recovery status yet, it has just booted", cmd.next())

	second.Say(t, recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovered})
	assert.Equal(t, subject+"OK", cmd.next())
	assert.Equal(t, "2 nodes recovered", cmd.next())

	require.NoError(t, cmd.Wait())
}

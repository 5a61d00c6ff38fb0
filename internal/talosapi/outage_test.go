// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

func TestAMachineThatWasAwayIsSoonBack(t *testing.T) {
	t.Parallel()

	c := newCluster(t)
	talos := c.client(t, reader)

	read := func() error {
		_, err := safe.StateGetByID[*recovery.RecoveryStatus](client.WithNode(deadline(t), second), talos.COSI, recovery.RecoveryStatusID)

		return err
	}

	require.NoError(t, read())

	c.machines[second].off()

	// Long enough for the pauses between the attempts to connect to have become as long as they get.
	for outage := time.Now(); time.Since(outage) < 3*time.Second; {
		start := time.Now()

		assertStatus(t, read(), codes.Unavailable, "")
		require.Less(t, time.Since(start), time.Second, "a machine that is away is not waited for")

		<-time.After(20 * time.Millisecond)
	}

	c.machines[second].on(t)

	assert.Eventually(t, func() bool { return read() == nil }, 2*time.Second, 10*time.Millisecond)
}

func TestServingReplacesTheSocketOfADeadProcess(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "machine.sock")

	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)

	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	require.FileExists(t, path)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	wait, err := talosapi.Serve(ctx, grpc.NewServer(), path)
	require.NoError(t, err)

	cancel()

	require.NoError(t, wait())
	assert.NoFileExists(t, path)
	assert.NoError(t, wait(), "waiting twice is waiting once")
}

func TestServingLeavesWhatIsNoSocket(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "notes")
	require.NoError(t, os.WriteFile(path, nil, 0o600))

	_, err := talosapi.Serve(t.Context(), grpc.NewServer(), path)
	require.ErrorContains(t, err, "is not a socket")
	assert.FileExists(t, path)

	_, err = talosapi.Serve(t.Context(), grpc.NewServer(), filepath.Join(path, "machine.sock"))
	assert.Error(t, err)
}

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
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

func TestTheLocalMachineAnswersWhenNoNodeIsNamed(t *testing.T) {
	t.Parallel()

	talos := newCluster(t).ClientWith(t, admin)

	got, err := safe.StateGetByID[*clusterres.Config](deadline(t), talos.COSI, clusterres.ConfigID)
	require.NoError(t, err)
	assert.False(t, got.TypedSpec().DiscoveryEnabled)

	reply, err := talos.Version(deadline(t))
	require.NoError(t, err)
	require.Len(t, reply.GetMessages(), 1)
	assert.Equal(t, version, reply.GetMessages()[0].GetVersion().GetTag())
	assert.Empty(t, reply.GetMessages()[0].GetMetadata().GetHostname(), "only a call for many nodes has to tell them apart")
}

func TestResourcesAreReadFromOneNodeAtATime(t *testing.T) {
	t.Parallel()

	talos := newCluster(t).Client(t)
	many := "one-2-many proxying is not supported for method /cosi.resource.State/Get"

	for _, tc := range []struct {
		ctx     context.Context
		code    codes.Code
		message string
	}{
		{client.WithNodes(deadline(t), first, second), codes.InvalidArgument, many},
		{client.WithNodes(deadline(t), second), codes.InvalidArgument, many},
		{metadata.AppendToOutgoingContext(deadline(t), "node", first, "node", second), codes.InvalidArgument, "node metadata must be single-valued"},
		{client.WithNode(deadline(t), unknown), codes.Unavailable, "dns: A record lookup error: lookup worker-x: no such host"},
	} {
		_, err := nodeName(tc.ctx, talos)
		assertStatus(t, err, tc.code, tc.message)
	}
}

func TestTheVersionsOfManyNodesAreOneReply(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	talos := cluster.Client(t)

	reply, err := talos.Version(client.WithNodes(deadline(t), first, second))
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{first, second}, hostnames(reply))

	for _, message := range reply.GetMessages() {
		assert.Equal(t, version, message.GetVersion().GetTag())
		assert.True(t, message.GetFeatures().GetRbac())
	}

	cluster.Node(second).Stop()

	reply, err = talos.MachineClient.Version(client.WithNodes(deadline(t), unknown, second, first), &emptypb.Empty{})
	require.NoError(t, err, "an error of one node is not an error of the call")
	assert.ElementsMatch(t, []string{first, second, unknown}, hostnames(reply))

	for _, message := range reply.GetMessages() {
		if message.GetMetadata().GetHostname() == first {
			assert.Equal(t, version, message.GetVersion().GetTag())
			assert.Empty(t, message.GetMetadata().GetError())

			continue
		}

		assert.Nil(t, message.GetVersion())
		assert.NotEmpty(t, message.GetMetadata().GetError())
		assert.EqualValues(t, codes.Unavailable, message.GetMetadata().GetStatus().GetCode())
	}

	reply, err = talos.Version(client.WithNodes(deadline(t), second, first))
	assert.ErrorContains(t, err, second, "the client makes errors of such messages again")
	assert.Equal(t, []string{first}, hostnames(reply))
}

func hostnames(reply *machineapi.VersionResponse) []string {
	names := make([]string, 0, len(reply.GetMessages()))

	for _, message := range reply.GetMessages() {
		names = append(names, message.GetMetadata().GetHostname())
	}

	return names
}

func TestAMachineThatWasAwayIsBackAtOnce(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	talos, ctx := cluster.Client(t), client.WithNode(deadline(t), second)

	for range 3 {
		_, err := nodeName(ctx, talos)
		require.NoError(t, err)

		cluster.Node(second).Stop()

		start := time.Now()
		_, err = nodeName(ctx, talos)
		assertStatus(t, err, codes.Unavailable, "")
		require.Less(t, time.Since(start), time.Second, "a machine that is away is not waited for")

		cluster.Node(second).Start(t)
	}
}

func TestAnEndpointThatDoesNotForwardAnswersForItself(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	worker, err := talosapi.Listen(talosapi.EndpointConfig{
		Address: "127.0.0.1:0", Authority: cluster.Authority, Local: cluster.Node(second).Target(),
	})
	require.NoError(t, err)

	config, err := cluster.Authority.Config("worker", talosapi.ClientConfig{Endpoints: []string{worker.Address()}, Roles: reader})
	require.NoError(t, err)

	talos := newClient(t, config)

	got, err := nodeName(deadline(t), talos)
	require.NoError(t, err)
	assert.Equal(t, second, got)

	for _, ctx := range []context.Context{client.WithNode(deadline(t), first), client.WithNodes(deadline(t), first)} {
		_, err = talos.Version(ctx)
		assertStatus(t, err, codes.PermissionDenied, "no request forwarding")
	}

	_, err = talosapi.Listen(talosapi.EndpointConfig{Address: worker.Address(), Authority: cluster.Authority})
	require.ErrorContains(t, err, "failed to listen on")

	require.NoError(t, worker.Close())
	assert.NoError(t, worker.Close(), "closing twice is closing once")

	_, err = talos.Version(deadline(t))
	assertStatus(t, err, codes.Unavailable, "")
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
	require.ErrorContains(t, err, "address already in use")
	assert.FileExists(t, path)

	_, err = talosapi.Serve(t.Context(), grpc.NewServer(), filepath.Join(path, "machine.sock"))
	assert.Error(t, err)
}

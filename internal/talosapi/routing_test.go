// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"io"
	"testing"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

func TestTheLocalMachineAnswersWhenNoNodeIsNamed(t *testing.T) {
	t.Parallel()

	talos := newCluster(t).client(t, reader)

	got, err := safe.StateGetByID[*recovery.RecoveryStatus](deadline(t), talos.COSI, recovery.RecoveryStatusID)
	require.NoError(t, err)
	assert.Equal(t, first, got.TypedSpec().NodeName)

	reply, err := talos.Version(deadline(t))
	require.NoError(t, err)
	require.Len(t, reply.GetMessages(), 1)
	assert.Equal(t, version, reply.GetMessages()[0].GetVersion().GetTag())
	assert.Empty(t, reply.GetMessages()[0].GetMetadata().GetHostname(), "only a call for many nodes has to tell them apart")
}

func TestResourcesAreReadFromOneNodeAtATime(t *testing.T) {
	t.Parallel()

	talos := newCluster(t).client(t, admin)

	for _, ctx := range []context.Context{
		client.WithNodes(deadline(t), first, second), client.WithNodes(deadline(t), second),
	} {
		_, err := safe.StateGetByID[*recovery.RecoveryStatus](ctx, talos.COSI, recovery.RecoveryStatusID)
		assertStatus(t, err, codes.InvalidArgument, "one-2-many proxying is not supported for method /cosi.resource.State/Get")
	}

	_, err := safe.StateGetByID[*recovery.RecoveryStatus](
		metadata.AppendToOutgoingContext(deadline(t), "node", first, "node", second), talos.COSI, recovery.RecoveryStatusID)
	assertStatus(t, err, codes.InvalidArgument, "node metadata must be single-valued")
}

func TestANodeThatDoesNotExistIsUnavailable(t *testing.T) {
	t.Parallel()

	_, err := safe.StateGetByID[*recovery.RecoveryStatus](client.WithNode(deadline(t), unknown),
		newCluster(t).client(t, admin).COSI, recovery.RecoveryStatusID)
	assertStatus(t, err, codes.Unavailable, "")
	assert.ErrorContains(t, err, unknown)
}

func TestTheVersionsOfManyNodesAreOneReply(t *testing.T) {
	t.Parallel()

	c := newCluster(t)
	talos := c.client(t, reader)

	reply, err := talos.Version(client.WithNodes(deadline(t), first, second))
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{first, second}, hostnames(reply))

	for _, message := range reply.GetMessages() {
		assert.Equal(t, version, message.GetVersion().GetTag())
		assert.True(t, message.GetFeatures().GetRbac())
	}

	c.machines[second].off()

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

	reply, err = c.client(t, reader).Version(client.WithNodes(deadline(t), second))
	assert.ErrorContains(t, err, second)
	assert.Empty(t, hostnames(reply))
}

func hostnames(reply *machineapi.VersionResponse) []string {
	names := make([]string, 0, len(reply.GetMessages()))

	for _, message := range reply.GetMessages() {
		names = append(names, message.GetMetadata().GetHostname())
	}

	return names
}

func TestStreamsOfManyNodesCarryTheirErrors(t *testing.T) {
	t.Parallel()

	stream, err := newCluster(t).client(t, admin).MachineClient.Dmesg(
		client.WithNodes(deadline(t), first, unknown), &machineapi.DmesgRequest{})
	require.NoError(t, err)

	got := map[string]codes.Code{}

	for {
		var data *common.Data

		if data, err = stream.Recv(); err != nil {
			break
		}

		got[data.GetMetadata().GetHostname()] = codes.Code(data.GetMetadata().GetStatus().GetCode())
	}

	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, map[string]codes.Code{first: codes.Unimplemented, unknown: codes.Unavailable}, got)
}

func TestAnEndpointThatDoesNotForwardAnswersForItself(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	worker, err := talosapi.Listen(talosapi.EndpointConfig{
		Address: "127.0.0.1:0", Authority: c.authority, Local: "unix://" + c.machines[second].path,
	})
	require.NoError(t, err)

	config, err := c.authority.Config("worker", talosapi.ClientConfig{Endpoints: []string{worker.Address()}, Roles: reader})
	require.NoError(t, err)

	talos := newClient(t, config)

	got, err := safe.StateGetByID[*recovery.RecoveryStatus](deadline(t), talos.COSI, recovery.RecoveryStatusID)
	require.NoError(t, err)
	assert.Equal(t, second, got.TypedSpec().NodeName)

	_, err = talos.Version(client.WithNode(deadline(t), first))
	assertStatus(t, err, codes.PermissionDenied, "no request forwarding")

	_, err = talos.Version(client.WithNodes(deadline(t), first))
	assertStatus(t, err, codes.PermissionDenied, "no request forwarding")

	require.NoError(t, worker.Close())
	assert.NoError(t, worker.Close(), "closing twice is closing once")

	_, err = talos.Version(deadline(t))
	assertStatus(t, err, codes.Unavailable, "")
}

func TestAnEndpointNeedsWhatItCannotDoWithout(t *testing.T) {
	t.Parallel()

	authority, err := talosapi.NewAuthority()
	require.NoError(t, err)

	for message, config := range map[string]talosapi.EndpointConfig{
		"an endpoint needs an authority":    {Address: "127.0.0.1:0", Local: "unix:///machine.sock"},
		"an endpoint needs a local machine": {Address: "127.0.0.1:0", Authority: authority},
		`failed to listen on "nowhere": `:   {Address: "nowhere", Authority: authority, Local: "unix:///machine.sock"},
	} {
		_, err = talosapi.Listen(config)
		assert.ErrorContains(t, err, message)
	}
}

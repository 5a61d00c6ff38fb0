// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"errors"
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

func TestARebootGoesToTheNodesNamedOnly(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	rebooted := make(chan string, 3)

	for _, name := range []string{first, second} {
		cluster.Node(name).Configure(t, func(config *talosapi.MachineConfig) {
			config.Reboot = func(mode machineapi.RebootRequest_Mode) error {
				rebooted <- name + " " + mode.String()

				return nil
			}
		})
	}

	talos := cluster.ClientWith(t, operator)

	reply, err := talos.RebootWithResponse(client.WithNode(deadline(t), second), client.WithPowerCycle)
	require.NoError(t, err)
	require.Len(t, reply.GetMessages(), 1)
	assert.NotEmpty(t, reply.GetMessages()[0].GetActorId())
	assert.Equal(t, second+" POWERCYCLE", <-rebooted)

	reply, err = talos.RebootWithResponse(client.WithNodes(deadline(t), first, second, unknown))
	require.ErrorContains(t, err, "lookup "+unknown)
	assert.Len(t, reply.GetMessages(), 2)
	assert.ElementsMatch(t, []string{first + " DEFAULT", second + " DEFAULT"}, []string{<-rebooted, <-rebooted})

	assertStatus(t, talos.Reboot(deadline(t)), codes.Unimplemented, "")
	assert.Empty(t, rebooted)
}

func TestAMachineMayRefuseToReboot(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	talos := cluster.ClientWith(t, operator)

	assertStatus(t, talos.Reboot(client.WithNode(deadline(t), first)), codes.Unimplemented, "method Reboot not implemented")

	const words = "method is not supported in container mode"

	cluster.Node(second).Configure(t, func(config *talosapi.MachineConfig) {
		config.Reboot = func(machineapi.RebootRequest_Mode) error { return status.Error(codes.FailedPrecondition, words) }
	})
	assertStatus(t, talos.Reboot(client.WithNode(deadline(t), second)), codes.FailedPrecondition, words)
}

func TestOnlyControlPlanesShowTheirEtcd(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	talos := cluster.Client(t)
	failure := errors.New("failed to query etcd status: context deadline exceeded")

	cluster.Node(first).Configure(t, func(config *talosapi.MachineConfig) {
		config.Etcd = func(context.Context) (talosapi.Etcd, error) {
			return talosapi.Etcd{
				Status:  &machineapi.EtcdMemberStatus{MemberId: 7, Errors: []string{"NOSPACE"}},
				Members: []*machineapi.EtcdMember{{Id: 7, Hostname: first}, {Id: 8, Hostname: second, IsLearner: true}},
			}, nil
		}
	})

	to := client.WithNode(deadline(t), first)

	etcd, err := talos.EtcdStatus(to)
	require.NoError(t, err)
	require.Len(t, etcd.GetMessages(), 1)
	assert.EqualValues(t, 7, etcd.GetMessages()[0].GetMemberStatus().GetMemberId())
	assert.Equal(t, []string{"NOSPACE"}, etcd.GetMessages()[0].GetMemberStatus().GetErrors())

	list, err := talos.EtcdMemberList(to, &machineapi.EtcdMemberListRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetMessages(), 1)
	assert.Equal(t, []string{first, second}, list.GetMessages()[0].GetLegacyMembers())
	assert.True(t, list.GetMessages()[0].GetMembers()[1].GetIsLearner())

	to = client.WithNode(deadline(t), second)

	_, err = talos.EtcdStatus(to)
	assertStatus(t, err, codes.Unimplemented, "etcd status is only available on control plane nodes")

	_, err = talos.EtcdMemberList(to, &machineapi.EtcdMemberListRequest{})
	assertStatus(t, err, codes.Unimplemented, "member list is only available on control plane nodes")

	cluster.Node(second).Configure(t, func(config *talosapi.MachineConfig) {
		config.Etcd = func(context.Context) (talosapi.Etcd, error) { return talosapi.Etcd{}, failure }
	})

	_, err = talos.EtcdStatus(to)
	assertStatus(t, err, codes.Unknown, failure.Error())
}

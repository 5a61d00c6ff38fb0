// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"testing"

	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	talosruntime "github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestTalosAPIRebootsTheNodeNamed(t *testing.T) {
	s := newScenario(t, "talos-reboot")
	named, other := s.addNode("-a"), s.addNode("-b")
	at := client.WithNode(s.ctx, named.Address().String())

	machine, err := named.COSI()
	require.NoError(t, err)

	events := make(chan state.Event)
	require.NoError(t, machine.Watch(s.ctx, talosruntime.NewMachineStatus().Metadata(), events))
	s.awaitStage(events, talosruntime.MachineStageRunning)

	err = s.talosClient(s.talosconfig(role.Reader)).Reboot(at)
	require.Equal(t, codes.PermissionDenied, client.StatusCode(err), "%v", err)

	operator := s.talosClient(s.talosconfig(role.Operator))

	err = operator.Reboot(at, client.WithForce)
	require.Equal(t, codes.Unimplemented, client.StatusCode(err), "%v", err)

	require.NoError(t, operator.Reboot(at))
	s.awaitStage(events, talosruntime.MachineStageRebooting)
	require.NoError(t, operator.Reboot(at), "asking again changes nothing")

	for s.next(events).Type != state.Errored { // the watch ends with the machine
		continue
	}

	log, err := named.Log()
	require.NoError(t, err)
	assert.Contains(t, log, "shutting down kubelet gracefully")
	assert.Contains(t, log, "machine is down")

	assert.True(t, other.Running())
}

// awaitStage waits until the machine whose status is watched is in the stage.
func (s *scenario) awaitStage(events <-chan state.Event, stage talosruntime.MachineStage) {
	for {
		event := s.next(events)
		require.NoError(s.t, event.Error)

		if status, ok := event.Resource.(*talosruntime.MachineStatus); ok && status.TypedSpec().Stage == stage {
			return
		}
	}
}

// next waits for an event.
func (s *scenario) next(events <-chan state.Event) state.Event {
	select {
	case event := <-events:
		return event
	case <-s.ctx.Done():
		require.NoError(s.t, context.Cause(s.ctx))

		return state.Event{}
	}
}

func TestControlPlanesShowOneEtcd(t *testing.T) {
	s := newScenario(t, "talos-etcd")
	first, worker := s.addNode("-a", lab.ControlPlane()), s.addNode("-w")
	second := s.addNode("-b", lab.ControlPlane())
	reader := s.talosClient(s.talosconfig(role.Reader))

	require.NoError(t, second.ShowEtcd(true, "etcdserver: no leader"))

	reply, err := reader.EtcdStatus(client.WithNode(s.ctx, second.Name()))
	require.NoError(t, err)
	require.Len(t, reply.GetMessages(), 1)

	status := reply.GetMessages()[0].GetMemberStatus()
	assert.True(t, status.GetIsLearner())
	assert.Equal(t, []string{"etcdserver: no leader"}, status.GetErrors())

	for _, node := range []*node{first, second} {
		list, err := reader.EtcdMemberList(client.WithNode(s.ctx, node.Name()), &machineapi.EtcdMemberListRequest{})
		require.NoError(t, err)
		require.Len(t, list.GetMessages(), 1)
		assert.Contains(t, list.GetMessages()[0].GetLegacyMembers(), first.Name())

		members := list.GetMessages()[0].GetMembers()
		last := members[len(members)-1]
		assert.Equal(t, second.Name(), last.GetHostname())
		assert.Equal(t, status.GetMemberId(), last.GetId())
		assert.Equal(t, []string{"https://" + second.Address().String() + ":2379"}, last.GetClientUrls())
		assert.True(t, last.GetIsLearner())
	}

	_, err = reader.EtcdStatus(client.WithNode(s.ctx, worker.Name()))
	assert.Equal(t, codes.Unimplemented, client.StatusCode(err), "%v", err)
	assert.ErrorContains(t, worker.ShowEtcd(false), "it is a worker")
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

func TestAReaderReadsTheResourcesOfEveryNode(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	for name, roles := range map[string]role.Set{
		"reader": reader, "operator": role.MakeSet(role.Operator), "admin": admin,
	} {
		talos := c.client(t, roles)

		for _, node := range []string{first, second} {
			ctx := client.WithNode(deadline(t), node)

			got, err := safe.StateGetByID[*recovery.RecoveryStatus](ctx, talos.COSI, recovery.RecoveryStatusID)
			require.NoError(t, err, name)
			assert.Equal(t, node, got.TypedSpec().NodeName)

			list, err := safe.StateListAll[*recovery.RecoveryStatus](ctx, talos.COSI)
			require.NoError(t, err, name)
			require.Equal(t, 1, list.Len())
			assert.Equal(t, node, list.Get(0).TypedSpec().NodeName)
		}
	}
}

func TestAWatchFollowsTheNodeThatItNames(t *testing.T) {
	t.Parallel()

	c := newCluster(t)
	talos := c.client(t, reader)

	events := make(chan safe.WrappedStateEvent[*recovery.RecoveryStatus])
	require.NoError(t, safe.StateWatch(client.WithNode(deadline(t), second), talos.COSI,
		recovery.NewRecoveryStatus().Metadata(), events))

	initial := <-events
	require.Equal(t, state.Created, initial.Type(), "%v", initial.Error())

	c.machines[first].say(t, "not watched")
	c.machines[second].say(t, "one")
	assert.Equal(t, "one", nextMessage(t, events))

	c.machines[second].off()
	c.machines[second].say(t, "two")
	c.machines[second].on(t)
	assert.Equal(t, "two", nextMessage(t, events), "the client resumes where it was as long as the state is the same")
}

// say changes the message of a node's status.
func (m *machine) say(t *testing.T, message string) {
	t.Helper()

	_, err := safe.StateUpdateWithConflicts(t.Context(), m.state, recovery.NewRecoveryStatus().Metadata(),
		func(r *recovery.RecoveryStatus) error {
			r.TypedSpec().Message = message

			return nil
		})
	require.NoError(t, err)
}

func nextMessage(t *testing.T, events <-chan safe.WrappedStateEvent[*recovery.RecoveryStatus]) string {
	t.Helper()

	event := <-events
	require.Equal(t, state.Updated, event.Type(), "%v", event.Error())

	got, err := event.Resource()
	require.NoError(t, err)

	return got.TypedSpec().Message
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()

	_, err := safe.StateGetByID[*recovery.DaemonSetRecovery](client.WithNode(deadline(t), second),
		newCluster(t).client(t, reader).COSI, "kube-system/cilium")
	assert.True(t, state.IsNotFoundError(err), "%v", err)
}

func TestNobodyWrites(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	for _, tc := range []struct {
		name    string
		roles   role.Set
		message string
	}{
		{name: "an admin is told that nothing is written", roles: admin, message: "code = PermissionDenied desc = write access is not allowed"},
		{name: "a reader is told that it is not for readers", roles: reader, message: "code = PermissionDenied desc = not authorized"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			st, ctx := c.client(t, tc.roles).COSI, client.WithNode(deadline(t), second)

			// The client takes this code for an owner's conflict, and keeps of the status only the words.
			assert.ErrorContains(t, st.Create(ctx, recovery.NewDaemonSetRecovery("kube-system/cilium")), tc.message)
			assert.ErrorContains(t, st.Update(ctx, recovery.NewRecoveryStatus()), tc.message)
			assert.ErrorContains(t, st.Destroy(ctx, recovery.NewRecoveryStatus().Metadata()), tc.message)
		})
	}
}

func TestWhatIsNotDefinedIsNotSupported(t *testing.T) {
	t.Parallel()

	st, ctx := newCluster(t).client(t, admin).COSI, client.WithNode(deadline(t), second)

	undefined := resource.NewMetadata(recovery.NamespaceName, k8s.NodenameType, k8s.NodenameID, resource.VersionUndefined)
	_, err := st.Get(ctx, undefined)
	assertStatus(t, err, codes.PermissionDenied, `resource type "Nodenames.kubernetes.talos.dev" is not supported`)

	_, err = st.List(ctx, undefined)
	assertStatus(t, err, codes.PermissionDenied, `resource type "Nodenames.kubernetes.talos.dev" is not supported`)

	err = st.Watch(ctx, undefined, make(chan state.Event))
	assertStatus(t, err, codes.PermissionDenied, `resource type "Nodenames.kubernetes.talos.dev" is not supported`)

	_, err = st.List(ctx, resource.NewMetadata("elsewhere", recovery.RecoveryStatusType, "", resource.VersionUndefined))
	assertStatus(t, err, codes.PermissionDenied, `namespace "elsewhere" is not supported`)
}

func TestWhatIsSensitiveIsForAdmins(t *testing.T) {
	t.Parallel()

	c := newCluster(t)
	ctx := client.WithNode(deadline(t), second)

	_, err := safe.StateGetByID[*k8s.NodeLabelSpec](ctx, c.client(t, admin).COSI, "rack")
	require.NoError(t, err)

	for _, roles := range []role.Set{reader, role.MakeSet(role.Operator)} {
		_, err = safe.StateGetByID[*k8s.NodeLabelSpec](ctx, c.client(t, roles).COSI, "rack")
		assertStatus(t, err, codes.PermissionDenied, "not authorized")
	}
}

func TestRolesComeFromTheCertificate(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	for _, tc := range []struct {
		name  string
		roles role.Set
	}{
		{name: "without a role"},
		{name: "with a role for something else", roles: role.MakeSet(role.EtcdBackup)},
		{name: "with a role that lets apids speak for others", roles: role.MakeSet(role.Impersonator)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			talos := c.client(t, tc.roles)

			for _, ctx := range []context.Context{
				client.WithNode(deadline(t), second), claiming(client.WithNode(deadline(t), second), role.Admin),
			} {
				_, err := safe.StateGetByID[*recovery.RecoveryStatus](ctx, talos.COSI, recovery.RecoveryStatusID)
				assertStatus(t, err, codes.PermissionDenied, "not authorized")

				_, err = talos.MachineClient.Version(ctx, &emptypb.Empty{})
				assertStatus(t, err, codes.PermissionDenied, "not authorized")
			}
		})
	}

	t.Run("and what a reader claims to be changes nothing", func(t *testing.T) {
		t.Parallel()

		talos, ctx := c.client(t, reader), claiming(client.WithNode(deadline(t), second), role.Admin)

		_, err := safe.StateGetByID[*k8s.NodeLabelSpec](ctx, talos.COSI, "rack")
		assertStatus(t, err, codes.PermissionDenied, "not authorized")

		ctx = claiming(client.WithNode(deadline(t), second), role.EtcdBackup)

		_, err = safe.StateGetByID[*recovery.RecoveryStatus](ctx, talos.COSI, recovery.RecoveryStatusID)
		assert.NoError(t, err)
	})
}

func TestEverythingElseIsUnimplemented(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	_, err := c.client(t, admin).MachineClient.Memory(deadline(t), &emptypb.Empty{})
	assertStatus(t, err, codes.Unimplemented, "")

	_, err = c.client(t, admin).TimeClient.Time(deadline(t), &emptypb.Empty{})
	assertStatus(t, err, codes.Unimplemented, "")

	assert.NotPanics(t, func() { talosapi.NewMachine(talosapi.MachineConfig{State: c.machines[first].state}).Stop() })
}

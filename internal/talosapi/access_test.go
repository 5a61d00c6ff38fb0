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
	"github.com/siderolabs/talos/pkg/machinery/constants"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

func TestReadersReadTheResourcesOfEveryNode(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	for name, roles := range map[string]role.Set{"reader": reader, "operator": operator, "admin": admin} {
		talos := cluster.ClientWith(t, roles)

		for _, node := range []string{first, second} {
			ctx := client.WithNode(deadline(t), node)

			got, err := nodeName(ctx, talos)
			require.NoError(t, err, name)
			assert.Equal(t, node, got)

			list, err := safe.StateListAll[*recovery.RecoveryStatus](ctx, talos.COSI)
			require.NoError(t, err, name)
			require.Equal(t, 1, list.Len())
			assert.Equal(t, node, list.Get(0).TypedSpec().NodeName)
		}
	}
}

func TestAWatchFollowsTheNodeThatItNames(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	node := cluster.Node(second)
	events := make(chan safe.WrappedStateEvent[*recovery.RecoveryStatus])

	require.NoError(t, safe.StateWatch(client.WithNode(deadline(t), second), cluster.Client(t).COSI,
		recovery.NewRecoveryStatus().Metadata(), events))

	next := func() string {
		event := <-events
		got, err := event.Resource()
		require.NoError(t, err, "%v", event.Error())

		return got.TypedSpec().Message
	}

	assert.Empty(t, next())

	cluster.Node(first).Say(t, recovery.RecoveryStatusSpec{Message: "not watched"})
	node.Say(t, recovery.RecoveryStatusSpec{Message: "one"})
	assert.Equal(t, "one", next())

	node.Stop()
	node.Say(t, recovery.RecoveryStatusSpec{Message: "two"})
	node.Start(t)
	assert.Equal(t, "two", next(), "the client resumes where it was as long as the state is the same")
}

func TestNobodyWrites(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	for name, tc := range map[string]struct {
		roles   role.Set
		message string
	}{
		"an admin is told that nothing is written":    {admin, "code = PermissionDenied desc = write access is not allowed"},
		"a reader is told that it is not for readers": {reader, "code = PermissionDenied desc = not authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			st, ctx := cluster.ClientWith(t, tc.roles).COSI, client.WithNode(deadline(t), second)

			// The client takes this code for an owner's conflict, and keeps of the status only the words.
			assert.ErrorContains(t, st.Create(ctx, recovery.NewDaemonSetRecovery("kube-system/cilium")), tc.message)
			assert.ErrorContains(t, st.Update(ctx, recovery.NewRecoveryStatus()), tc.message)
			assert.ErrorContains(t, st.Destroy(ctx, recovery.NewRecoveryStatus().Metadata()), tc.message)
		})
	}
}

func TestWhatIsNotDefinedIsNotSupported(t *testing.T) {
	t.Parallel()

	st, ctx := newCluster(t).ClientWith(t, admin).COSI, client.WithNode(deadline(t), second)
	undefined := resource.NewMetadata(recovery.NamespaceName, k8s.NodenameType, k8s.NodenameID, resource.VersionUndefined)

	for call, read := range map[string]func() error{
		"get": func() error {
			_, err := st.Get(ctx, undefined)

			return err
		},
		"list": func() error {
			_, err := st.List(ctx, undefined)

			return err
		},
		"watch": func() error { return st.Watch(ctx, undefined, make(chan state.Event)) },
	} {
		t.Log(call)
		assertStatus(t, read(), codes.PermissionDenied, `resource type "Nodenames.kubernetes.talos.dev" is not supported`)
	}

	_, err := st.List(ctx, resource.NewMetadata("elsewhere", recovery.RecoveryStatusType, "", resource.VersionUndefined))
	assertStatus(t, err, codes.PermissionDenied, `namespace "elsewhere" is not supported`)

	_, err = st.Get(ctx, recovery.NewDaemonSetRecovery("kube-system/cilium").Metadata())
	assert.True(t, state.IsNotFoundError(err), "what is defined and not there is not found: %v", err)
}

// TestRolesComeFromTheCertificate covers what a client is without a role, and what it cannot claim to be.
func TestRolesComeFromTheCertificate(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	for name, tc := range map[string]struct {
		roles     role.Set
		claims    role.Role
		read      codes.Code
		sensitive codes.Code
	}{
		"an admin":                          {roles: admin},
		"an admin who claims less":          {roles: admin, claims: role.EtcdBackup},
		"an operator":                       {roles: operator, sensitive: codes.PermissionDenied},
		"a reader":                          {roles: reader, sensitive: codes.PermissionDenied},
		"a reader who claims more":          {roles: reader, claims: role.Admin, sensitive: codes.PermissionDenied},
		"a reader who claims less":          {roles: reader, claims: role.EtcdBackup, sensitive: codes.PermissionDenied},
		"no role":                           {read: codes.PermissionDenied, sensitive: codes.PermissionDenied},
		"no role and a claim":               {claims: role.Admin, read: codes.PermissionDenied, sensitive: codes.PermissionDenied},
		"a role for something else":         {roles: role.MakeSet(role.EtcdBackup), read: codes.PermissionDenied, sensitive: codes.PermissionDenied},
		"the role of apids, to claim":       {roles: role.MakeSet(role.Impersonator), claims: role.Admin, read: codes.PermissionDenied, sensitive: codes.PermissionDenied},
		"the role of apids without a claim": {roles: role.MakeSet(role.Impersonator), read: codes.PermissionDenied, sensitive: codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			talos, ctx := cluster.ClientWith(t, tc.roles), deadline(t)

			if tc.claims != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, constants.APIAuthzRoleMetadataKey, string(tc.claims))
			}

			_, readErr := nodeName(client.WithNode(ctx, second), talos)
			_, versionErr := talos.MachineClient.Version(client.WithNode(ctx, second), &emptypb.Empty{})
			_, sensitiveErr := safe.StateGetByID[*clusterres.Config](ctx, talos.COSI, clusterres.ConfigID)

			for _, got := range []struct {
				err  error
				want codes.Code
			}{{readErr, tc.read}, {versionErr, tc.read}, {sensitiveErr, tc.sensitive}} {
				if got.want == codes.OK {
					assert.NoError(t, got.err)
				} else {
					assertStatus(t, got.err, got.want, "not authorized")
				}
			}
		})
	}
}

func TestEverythingElseIsUnimplemented(t *testing.T) {
	t.Parallel()

	talos := newCluster(t).ClientWith(t, admin)

	for _, ctx := range []context.Context{
		deadline(t), client.WithNode(deadline(t), second), client.WithNodes(deadline(t), first, second),
	} {
		_, err := talos.MachineClient.Memory(ctx, &emptypb.Empty{})
		assertStatus(t, err, codes.Unimplemented, "")

		_, err = talos.TimeClient.Time(ctx, &emptypb.Empty{})
		assertStatus(t, err, codes.Unimplemented, "")
	}

	assert.NotPanics(t, func() { talosapi.NewMachine(talosapi.MachineConfig{}).Stop() })
}

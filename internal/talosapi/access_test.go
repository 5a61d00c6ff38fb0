// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

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

			// The client takes this code for the conflict of an owner. Only the words of the status are left.
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

// TestRolesComeFromTheCertificate shows what each role may do, and that claiming another one changes nothing.
func TestRolesComeFromTheCertificate(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	var reboots, restarts atomic.Int64

	cluster.Node(second).Configure(t, func(config *talosapi.MachineConfig) {
		config.Reboot = func(machineapi.RebootRequest_Mode) error {
			reboots.Add(1)

			return nil
		}
		config.Containers = func(context.Context) ([]*machineapi.ContainerInfo, error) { return nil, nil }
		config.Restart = func(context.Context, string) error {
			restarts.Add(1)

			return nil
		}
		config.Etcd = func(context.Context) (talosapi.Etcd, error) { return talosapi.Etcd{}, nil }
	})

	const denied = codes.PermissionDenied

	backup, impersonator := role.MakeSet(role.EtcdBackup), role.MakeSet(role.Impersonator)

	for name, tc := range map[string]struct {
		roles                         role.Set
		claims                        role.Role
		read, etcd, reboot, sensitive codes.Code
	}{
		"an admin":                          {roles: admin},
		"an admin who claims less":          {roles: admin, claims: role.EtcdBackup},
		"an operator":                       {roles: operator, sensitive: denied},
		"a reader":                          {roles: reader, reboot: denied, sensitive: denied},
		"a reader who claims more":          {roles: reader, claims: role.Admin, reboot: denied, sensitive: denied},
		"a reader who claims less":          {roles: reader, claims: role.EtcdBackup, reboot: denied, sensitive: denied},
		"no role":                           {read: denied, etcd: denied, reboot: denied, sensitive: denied},
		"no role and a claim":               {claims: role.Admin, read: denied, etcd: denied, reboot: denied, sensitive: denied},
		"a role for etcd":                   {roles: backup, read: denied, reboot: denied, sensitive: denied},
		"a role for something else":         {roles: role.MakeSet(role.MetaWriter), read: denied, etcd: denied, reboot: denied, sensitive: denied},
		"the role of apids, to claim":       {roles: impersonator, claims: role.Admin, read: denied, etcd: denied, reboot: denied, sensitive: denied},
		"the role of apids without a claim": {roles: impersonator, read: denied, etcd: denied, reboot: denied, sensitive: denied},
	} {
		// One after the other, so that reboots can be counted.
		t.Run(name, func(t *testing.T) {
			talos, ctx := cluster.ClientWith(t, tc.roles), deadline(t)

			if tc.claims != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, constants.APIAuthzRoleMetadataKey, string(tc.claims))
			}

			to := client.WithNode(ctx, second)

			got, readErr := nodeName(to, talos)
			list, listErr := safe.StateListAll[*recovery.RecoveryStatus](client.WithNode(ctx, first), talos.COSI)
			_, versionErr := talos.MachineClient.Version(to, &emptypb.Empty{})
			_, statusErr := talos.MachineClient.EtcdStatus(to, &emptypb.Empty{})
			_, membersErr := talos.MachineClient.EtcdMemberList(to, &machineapi.EtcdMemberListRequest{})
			_, sensitiveErr := safe.StateGetByID[*clusterres.Config](ctx, talos.COSI, clusterres.ConfigID)

			_, containersErr := talos.MachineClient.Containers(to, &machineapi.ContainersRequest{Namespace: "k8s.io", Driver: common.ContainerDriver_CRI})

			reboots.Store(0)
			restarts.Store(0)
			_, restartErr := talos.MachineClient.Restart(to, &machineapi.RestartRequest{Namespace: "k8s.io", Driver: common.ContainerDriver_CRI, Id: "id"})
			_, rebootErr := talos.MachineClient.Reboot(to, &machineapi.RebootRequest{})

			for _, call := range []struct {
				err  error
				want codes.Code
			}{
				{readErr, tc.read},
				{listErr, tc.read},
				{versionErr, tc.read},
				{statusErr, tc.etcd},
				{membersErr, tc.etcd},
				{containersErr, tc.read},
				{restartErr, tc.reboot},
				{rebootErr, tc.reboot},
				{sensitiveErr, tc.sensitive},
			} {
				if call.want == codes.OK {
					assert.NoError(t, call.err)
				} else {
					assertStatus(t, call.err, call.want, "not authorized")
				}
			}

			if tc.read == codes.OK {
				assert.Equal(t, second, got)
				require.Equal(t, 1, list.Len())
				assert.Equal(t, first, list.Get(0).TypedSpec().NodeName)
			}

			assert.Equal(t, tc.reboot == codes.OK, reboots.Load() == 1, "a machine reboots only if it may")
			assert.Equal(t, tc.reboot == codes.OK, restarts.Load() == 1, "a container is restarted only if it may be")
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

// configure makes a client configuration whose only context is called lab.
func configure(t *testing.T, authority *talosapi.Authority, cluster *ctest.Cluster, options talosapi.ClientConfig) *clientconfig.Config {
	t.Helper()

	options.Endpoints = []string{cluster.Endpoint()}
	options.Roles = admin

	config, err := authority.Config("lab", options)
	require.NoError(t, err)

	return config
}

func TestOnlyValidCertificatesOfTheAuthorityAreTakenIn(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	foreign, err := talosapi.NewAuthority()
	require.NoError(t, err)

	valid := configure(t, cluster.Authority, cluster, talosapi.ClientConfig{})

	// A foreigner who trusts the endpoint. The endpoint must not trust the foreigner.
	trusting := configure(t, foreign, cluster, talosapi.ClientConfig{})
	trusting.Contexts["lab"].CA = valid.Contexts["lab"].CA

	anonymous := configure(t, cluster.Authority, cluster, talosapi.ClientConfig{})
	anonymous.Contexts["lab"].Crt, anonymous.Contexts["lab"].Key = "", ""

	for name, config := range map[string]*clientconfig.Config{
		"an expired certificate": configure(t, cluster.Authority, cluster, talosapi.ClientConfig{
			NotBefore: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour,
		}),
		"a certificate from the future": configure(t, cluster.Authority, cluster, talosapi.ClientConfig{
			NotBefore: time.Now().Add(time.Hour),
		}),
		"a client of another authority":      configure(t, foreign, cluster, talosapi.ClientConfig{}),
		"a certificate of another authority": trusting,
		"no certificate":                     anonymous,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := nodeName(client.WithNode(deadline(t), second), newClient(t, config))
			assertStatus(t, err, codes.Unavailable, "")
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	certificate, err := client.CertificateFromConfigContext(
		configure(t, cluster.Authority, cluster, talosapi.ClientConfig{}).Contexts["lab"])
	require.NoError(t, err)

	//nolint:gosec // that it is too old and does not care whom it talks to is the point
	dialer := tls.Dialer{Config: &tls.Config{
		MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate},
	}}

	_, err = dialer.DialContext(deadline(t), "tcp", cluster.Endpoint())
	assert.ErrorContains(t, err, "protocol version")
}

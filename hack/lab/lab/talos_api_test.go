// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// talosClient returns a client of the Talos API with what is in the talosconfig.
func talosClient(ctx context.Context, t *testing.T, talosconfig string) *client.Client {
	t.Helper()

	c, err := client.New(ctx, client.WithConfigFromFile(talosconfig))
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, c.Close()) })

	return c
}

// talosconfigFor writes a talosconfig with the role.
func talosconfigFor(t *testing.T, cluster *lab.Lab, r role.Role) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), "talosconfig")
	require.NoError(t, cluster.WriteTalosconfig(path, role.MakeSet(r)))

	return path
}

func TestTalosAPIShowsTheResourcesOfTheNodeNamed(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	first, label, selector := own("api")
	second, _, _ := own("api")

	nodes := []*lab.Node{
		addNode(ctx, t, cluster, first, label, withRebound()),
		addNode(ctx, t, cluster, second, label, withRebound()),
	}

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(first, "cni", selector))
	require.NoError(t, err)

	for _, node := range nodes {
		_, err = node.WaitDaemonSetPodsReady(ctx)
		require.NoError(t, err)
	}

	suspendBackOff(ctx, t, cluster, first)

	for _, node := range nodes {
		require.NoError(t, node.Reboot(ctx))
	}

	for _, access := range []struct {
		name        string
		talosconfig string
	}{
		{"admin", cluster.Talosconfig()},
		{"reader", talosconfigFor(t, cluster, role.Reader)},
	} {
		api := talosClient(ctx, t, access.talosconfig).COSI

		for _, node := range nodes {
			for _, called := range []string{node.Name(), node.Address().String()} {
				t.Logf("%s asks %s", access.name, called)

				at := client.WithNode(ctx, called)

				// Watched until it is recovered, then read and listed.
				_, err := api.WatchFor(at, recoveryres.NewRecoveryStatus().Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
					status, ok := res.(*recoveryres.RecoveryStatus)

					return ok && status.TypedSpec().Phase == specs.PhaseRecovered, nil
				}))
				require.NoError(t, err)

				status, err := safe.StateGetByID[*recoveryres.RecoveryStatus](at, api, recoveryres.RecoveryStatusID)
				require.NoError(t, err)
				assert.Equal(t, node.Name(), status.TypedSpec().NodeName)
				assert.Equal(t, node.BootID(), status.TypedSpec().BootID)

				statuses, err := safe.StateListAll[*recoveryres.RecoveryStatus](at, api)
				require.NoError(t, err)
				assert.Equal(t, 1, statuses.Len())

				recoveries, err := safe.StateListAll[*recoveryres.DaemonSetRecovery](at, api)
				require.NoError(t, err)
				require.Equal(t, 1, recoveries.Len())
				assert.Equal(t, first+"/cni", recoveries.Get(0).Metadata().ID())

				recovery := requireEvent(at, t, api, recoveryres.NewDaemonSetRecovery(first+"/cni").Metadata())
				assert.Equal(t, state.Created, recovery.Type)
			}
		}
	}
}

// requireEvent returns the first event of a watch.
func requireEvent(ctx context.Context, t *testing.T, st state.State, pointer resource.Pointer) state.Event {
	t.Helper()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	events := make(chan state.Event)
	require.NoError(t, st.Watch(ctx, pointer, events))

	select {
	case event := <-events:
		require.NoError(t, event.Error)

		return event
	case <-ctx.Done():
		require.NoError(t, context.Cause(ctx))

		return state.Event{}
	}
}

func TestTalosAPIRefuses(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, _ := own("with")
	stock, stockLabel, _ := own("stock")

	addNode(ctx, t, cluster, name, label, withRebound())
	addNode(ctx, t, cluster, stock, stockLabel)

	api := talosClient(ctx, t, cluster.Talosconfig()).COSI

	for _, tc := range []struct {
		name string
		node string
		call func(context.Context) error
		says string
	}{
		{"a new resource", name, func(ctx context.Context) error {
			return api.Create(ctx, recoveryres.NewDaemonSetRecovery("kube-system/cni"))
		}, "code = PermissionDenied desc = write access is not allowed"},
		{"a change", name, func(ctx context.Context) error {
			return api.Update(ctx, recoveryres.NewRecoveryStatus())
		}, "code = PermissionDenied desc = write access is not allowed"},
		{"the end of a resource", name, func(ctx context.Context) error {
			return api.Destroy(ctx, recoveryres.NewRecoveryStatus().Metadata())
		}, "code = PermissionDenied desc = write access is not allowed"},
		{"a new member", "", func(ctx context.Context) error {
			return api.Create(ctx, clusterres.NewMember(clusterres.NamespaceName, "worker-x"))
		}, "code = PermissionDenied desc = write access is not allowed"},
		{"a type that a node without rebound does not know", stock, func(ctx context.Context) error {
			_, err := api.List(ctx, recoveryres.NewRecoveryStatus().Metadata())

			return err
		}, `code = PermissionDenied desc = resource type "` + recoveryres.RecoveryStatusType + `" is not supported`},
		{"a node that is not there", "worker-x", func(ctx context.Context) error {
			_, err := api.List(ctx, recoveryres.NewRecoveryStatus().Metadata())

			return err
		}, "code = Unavailable desc = "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := ctx
			if tc.node != "" {
				ctx = client.WithNode(ctx, tc.node)
			}

			// The client takes a refused write for the conflict of an owner, and keeps
			// nothing but the words of the status.
			require.ErrorContains(t, tc.call(ctx), tc.says)
		})
	}
}

func TestTalosAPIKnowsTheMembersAndTheirVersions(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 2*time.Minute)
	name, label, _ := own("member")
	node := addNode(ctx, t, cluster, name, label)
	talos := talosClient(ctx, t, talosconfigFor(t, cluster, role.Reader))

	member, err := safe.StateGetByID[*clusterres.Member](ctx, talos.COSI, name)
	require.NoError(t, err)
	assert.Equal(t, name, member.TypedSpec().Hostname)
	assert.Equal(t, node.Address(), member.TypedSpec().Addresses[0])
	assert.Equal(t, "worker", member.TypedSpec().MachineType.String())

	version, err := talos.Version(client.WithNodes(ctx, name, node.Address().String()))
	require.NoError(t, err)
	require.Len(t, version.GetMessages(), 2)

	answered := make([]string, 0, len(version.GetMessages()))

	for _, message := range version.GetMessages() {
		answered = append(answered, message.GetMetadata().GetHostname())
		assert.Equal(t, "v1.13.9", message.GetVersion().GetTag())
	}

	assert.ElementsMatch(t, []string{name, node.Address().String()}, answered)
}

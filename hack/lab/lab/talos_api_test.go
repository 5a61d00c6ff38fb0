// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// talosClient returns a client of the Talos API with what is in the talosconfig.
func (s *scenario) talosClient(talosconfig string) *client.Client {
	c, err := client.New(s.ctx, client.WithConfigFromFile(talosconfig))
	require.NoError(s.t, err)

	s.t.Cleanup(func() { assert.NoError(s.t, c.Close()) })

	return c
}

// talosconfig writes a talosconfig with the role.
func (s *scenario) talosconfig(r role.Role) string {
	path := filepath.Join(s.t.TempDir(), "talosconfig")
	require.NoError(s.t, s.cluster.WriteTalosconfig(path, role.MakeSet(r)))

	return path
}

func TestTalosAPIShowsTheResourcesOfTheNodeNamed(t *testing.T) {
	s := newScenario(t, "api")
	s.addNode("-a", withRebound())
	s.addNode("-b", withRebound())
	s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()

	for _, node := range s.nodes {
		require.NoError(t, node.Reboot(s.ctx))
	}

	for _, access := range []struct {
		name        string
		talosconfig string
	}{
		{"admin", s.cluster.Talosconfig()},
		{"reader", s.talosconfig(role.Reader)},
	} {
		api := s.talosClient(access.talosconfig).COSI

		for _, node := range s.nodes {
			for _, called := range []string{node.Name(), node.Address().String()} {
				t.Logf("%s asks %s", access.name, called)

				at := client.WithNode(s.ctx, called)

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
				assert.Equal(t, s.name+"/cni", recoveries.Get(0).Metadata().ID())

				_, err = api.WatchFor(at, recoveries.Get(0).Metadata(), state.WithEventTypes(state.Created))
				require.NoError(t, err)
			}
		}
	}
}

func TestTalosAPIRefuses(t *testing.T) {
	s := newScenario(t, "refusals")
	name, stock := s.addNode("", withRebound()).Name(), s.addNode("-stock").Name()

	api := s.talosClient(s.cluster.Talosconfig()).COSI

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
			ctx := s.ctx
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
	s := newScenario(t, "member")
	node := s.addNode("")
	talos := s.talosClient(s.talosconfig(role.Reader))

	member, err := safe.StateGetByID[*clusterres.Member](s.ctx, talos.COSI, node.Name())
	require.NoError(t, err)
	assert.Equal(t, node.Name(), member.TypedSpec().Hostname)
	assert.Equal(t, node.Address(), member.TypedSpec().Addresses[0])
	assert.Equal(t, "worker", member.TypedSpec().MachineType.String())

	version, err := talos.Version(client.WithNodes(s.ctx, node.Name(), node.Address().String()))
	require.NoError(t, err)
	require.Len(t, version.GetMessages(), 2)

	answered := make([]string, 0, len(version.GetMessages()))

	for _, message := range version.GetMessages() {
		answered = append(answered, message.GetMetadata().GetHostname())
		assert.Equal(t, "v1.13.9", message.GetVersion().GetTag())
	}

	assert.ElementsMatch(t, []string{node.Name(), node.Address().String()}, answered)
}

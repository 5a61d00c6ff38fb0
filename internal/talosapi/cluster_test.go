// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const version = "v1.13.9"

// The nodes of a cluster. The endpoint is that of the first; there is none of the last name.
const (
	first   = "10.5.0.2"
	second  = "10.5.0.3"
	unknown = "10.5.0.99"
)

var (
	admin  = role.MakeSet(role.Admin)
	reader = role.MakeSet(role.Reader)
)

// cluster is an endpoint and the machines behind it.
type cluster struct {
	authority *talosapi.Authority
	endpoint  *talosapi.Endpoint
	machines  map[string]*machine
}

// machine is a node that can be switched off and on.
type machine struct {
	state state.State
	path  string
	off   func()
}

func newCluster(t *testing.T) *cluster {
	t.Helper()

	authority, err := talosapi.NewAuthority()
	require.NoError(t, err)

	c := &cluster{authority: authority, machines: map[string]*machine{}}

	for _, node := range []string{first, second} {
		c.machines[node] = &machine{state: newState(t, node), path: filepath.Join(t.TempDir(), "machine.sock")}
		c.machines[node].on(t)
	}

	c.endpoint, err = talosapi.Listen(talosapi.EndpointConfig{
		Address:   "127.0.0.1:0",
		Authority: authority,
		Local:     "unix://" + c.machines[first].path,
		Resolve: func(node string) (string, bool) {
			if m, ok := c.machines[node]; ok {
				return "unix://" + m.path, true
			}

			return "", false
		},
	})
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, c.endpoint.Close()) })

	return c
}

// newState returns what a node knows: how far it has recovered, which everybody may read, and a label, which only admins
// may.
func newState(t *testing.T, node string) state.State {
	t.Helper()

	ctx := t.Context()

	st, err := talosapi.NewState(ctx, map[string]string{recovery.NamespaceName: "Kubernetes"},
		append(recovery.ResourceDefinitions(), &k8s.NodeLabelSpec{})...)
	require.NoError(t, err)

	recoveryStatus := recovery.NewRecoveryStatus()
	recoveryStatus.TypedSpec().NodeName = node

	require.NoError(t, st.Create(ctx, recoveryStatus))
	require.NoError(t, st.Create(ctx, k8s.NewNodeLabelSpec("rack")))

	return st
}

// on serves the machine until it is switched off or the test ends.
func (m *machine) on(t *testing.T) {
	t.Helper()

	ctx, cancel := context.WithCancel(context.Background())

	wait, err := talosapi.Serve(ctx, talosapi.NewMachine(talosapi.MachineConfig{State: m.state, Version: version}), m.path)
	if err != nil {
		cancel()
	}

	require.NoError(t, err)

	m.off = func() {
		cancel()
		assert.NoError(t, wait())
	}

	t.Cleanup(m.off)
}

// client returns a client whose certificate names the roles.
func (c *cluster) client(t *testing.T, roles role.Set) *client.Client {
	t.Helper()

	return newClient(t, c.config(t, talosapi.ClientConfig{Roles: roles}))
}

func (c *cluster) config(t *testing.T, options talosapi.ClientConfig) *clientconfig.Config {
	t.Helper()

	options.Endpoints = []string{c.endpoint.Address()}

	config, err := c.authority.Config("lab", options)
	require.NoError(t, err)

	return config
}

func newClient(t *testing.T, config *clientconfig.Config) *client.Client {
	t.Helper()

	talos, err := client.New(t.Context(), client.WithConfig(config))
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, talos.Close()) })

	return talos
}

// deadline keeps a call that hangs from being taken for one that waits.
func deadline(t *testing.T) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)

	return ctx
}

// assertStatus asserts what a client is told. An empty message stands for any.
func assertStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()

	require.Error(t, err)
	assert.Equal(t, code, status.Code(err), "%v", err)

	if message != "" {
		assert.Equal(t, message, status.Convert(err).Message())
	}
}

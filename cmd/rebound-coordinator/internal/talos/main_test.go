// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/talos"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	admin    = role.MakeSet(role.Admin)
	operator = role.MakeSet(role.Operator)
	reader   = role.MakeSet(role.Reader)
)

// The nodes of a cluster, by their addresses. There is none at the last one.
const (
	first   = "10.5.0.2"
	second  = "10.5.0.3"
	third   = "10.5.0.4"
	unknown = "10.5.0.9"
)

// soon is the time that calls have which do not get an answer. It is enough for one that does, on a slow machine too.
const soon = 2 * time.Second

// cluster has three nodes that count how often they were asked to reboot.
type cluster struct {
	*ctest.Cluster

	// reboots has the address of every node that was asked.
	reboots chan string
	path    string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()

	c := &cluster{
		Cluster: ctest.NewCluster(t),
		reboots: make(chan string, 10),
		path:    filepath.Join(t.TempDir(), "talosconfig"),
	}

	for _, address := range []string{first, second, third} {
		name := "node-" + address
		c.AddStockKubernetesNode(t, name).Register(t, name)
		c.AddMember(t, name, netip.MustParseAddr(address))
		c.count(t, address)
	}

	// The machine behind the endpoint must never be mistaken for a node.
	c.count(t, "endpoint")

	return c
}

// at is the node with the address.
func at(address string) talos.Node { return talos.Node{Name: "node-" + address, Address: address} }

// count lets a node accept reboots.
func (c *cluster) count(t *testing.T, node string) {
	t.Helper()

	c.Node(node).Configure(t, func(config *talosapi.MachineConfig) {
		config.Reboot = func(mode machine.RebootRequest_Mode) error {
			if assert.Equal(t, machine.RebootRequest_DEFAULT, mode) {
				c.reboots <- node
			}

			return nil
		}
	})
}

// rebooted returns the nodes that were asked to reboot since it was last called.
func (c *cluster) rebooted() []string {
	var nodes []string

	for len(c.reboots) > 0 {
		nodes = append(nodes, <-c.reboots)
	}

	return nodes
}

// config makes a talosconfig.
func (c *cluster) config(t *testing.T, roles role.Set) *clientconfig.Config {
	t.Helper()

	config, err := c.Authority.Config("lab", talosapi.ClientConfig{Endpoints: []string{c.Endpoint()}, Roles: roles})
	require.NoError(t, err)

	return config
}

// client makes a client with the roles.
func (c *cluster) client(t *testing.T, roles role.Set) *talos.Client {
	t.Helper()

	return c.clientOf(t, c.config(t, roles))
}

// clientOf makes a client with a talosconfig, in place of the one that others have.
func (c *cluster) clientOf(t *testing.T, config *clientconfig.Config) *talos.Client {
	t.Helper()

	content, err := config.Bytes()
	require.NoError(t, err)

	return c.clientWith(t, content)
}

// clientWith makes a client whose talosconfig has this content. It is replaced as the kubelet does it with a Secret.
func (c *cluster) clientWith(t *testing.T, content []byte) *talos.Client {
	t.Helper()

	require.NoError(t, os.WriteFile(c.path+".next", content, 0o600))
	require.NoError(t, os.Rename(c.path+".next", c.path))

	return talos.New(c.path)
}

func assertRefused(t *testing.T, err error, says string) {
	t.Helper()

	if assert.ErrorContains(t, err, says) {
		assert.ErrorAs(t, err, new(talos.RefusedError))
		assert.NotContains(t, err.Error(), "\n")
	}
}

// assertUnknown asserts that nobody can tell whether the call was carried out.
func assertUnknown(t *testing.T, err error, says string) {
	t.Helper()

	if assert.ErrorContains(t, err, says) {
		assert.NotErrorAs(t, err, new(talos.RefusedError))
		assert.NotErrorAs(t, err, new(talos.UnsentError))
		assert.NotContains(t, err.Error(), "\n")
	}
}

// assertUnsent asserts that no endpoint has heard of the call.
func assertUnsent(t *testing.T, err error, says string) {
	t.Helper()

	if assert.ErrorContains(t, err, says) {
		assert.ErrorAs(t, err, new(talos.UnsentError))
		assert.NotErrorAs(t, err, new(talos.RefusedError))
		assert.NotContains(t, err.Error(), "\n")
	}
}

// deadline ends a call that hangs.
func deadline(t *testing.T) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)

	return ctx
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	timeres "github.com/siderolabs/talos/pkg/machinery/resources/time"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// talosVersion is what the nodes of a Cluster say they run.
const talosVersion = "v1.13.9"

// Cluster is a number of nodes behind one Talos API, over real gRPC. Nodes have no kubelet and no controller. A test
// decides what they say about their recovery.
type Cluster struct {
	// Authority signs the certificates of clients.
	Authority *talosapi.Authority

	folder   string
	state    state.State
	endpoint *talosapi.Endpoint

	nodes sync.Map // of *Node, by name and by address
}

// Node is a node of a Cluster.
type Node struct {
	state     state.State
	configure func(*talosapi.MachineConfig)
	path      string
	stop      func()
}

// NewCluster starts a cluster without nodes, which ends with the test.
func NewCluster(tb testing.TB) *Cluster {
	tb.Helper()

	folder, err := os.MkdirTemp("", "rebound-") //nolint:usetesting // the test's own folder has a name too long for a socket
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, os.RemoveAll(folder)) })

	authority, err := talosapi.NewAuthority()
	require.NoError(tb, err)

	c := &Cluster{Authority: authority, folder: folder}

	// The endpoint is a control plane node that was built without rebound.
	local := c.add(tb, "endpoint", &cluster.Member{}, &cluster.Config{})
	c.state = local.state

	c.endpoint, err = talosapi.Listen(talosapi.EndpointConfig{
		Address:   "127.0.0.1:0",
		Authority: authority,
		Local:     local.Target(),
		Resolve: func(name string) (string, bool) {
			if node := c.Node(name); node != nil {
				return node.Target(), true
			}

			return "", false
		},
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, c.endpoint.Close()) })

	return c
}

// AddNode adds a node whose Talos was built with rebound.
func (c *Cluster) AddNode(tb testing.TB, name string) *Node {
	tb.Helper()

	return c.add(tb, name, recovery.ResourceDefinitions()...)
}

// AddStockNode adds a node whose Talos was built without rebound.
func (c *Cluster) AddStockNode(tb testing.TB, name string) *Node {
	tb.Helper()

	return c.add(tb, name)
}

// AddStockKubernetesNode adds a node whose Talos was built without rebound and that joins Kubernetes. It has just booted: its
// clock is not set, and it has not seen its Node object.
func (c *Cluster) AddStockKubernetesNode(tb testing.TB, name string, definitions ...meta.ResourceWithRD) *Node {
	tb.Helper()

	return c.add(tb, name, append(definitions, &k8s.Nodename{}, &k8s.NodeStatus{}, &timeres.Status{})...)
}

// AddMember adds a node to the members that the cluster names. The node answers to these addresses as well.
func (c *Cluster) AddMember(tb testing.TB, name string, addresses ...netip.Addr) {
	tb.Helper()

	for _, address := range addresses {
		c.nodes.Store(address.String(), c.Node(name))
	}

	member := cluster.NewMember(cluster.NamespaceName, name)
	member.TypedSpec().Hostname = name
	member.TypedSpec().Addresses = addresses

	require.NoError(tb, c.state.Create(tb.Context(), member))
}

func (c *Cluster) add(tb testing.TB, name string, definitions ...meta.ResourceWithRD) *Node {
	tb.Helper()

	node := &Node{state: newNodeState(tb, definitions...), path: filepath.Join(c.folder, name+".sock")}
	c.nodes.Store(name, node)

	node.Start(tb)
	tb.Cleanup(node.Stop)

	return node
}

// Node is the node of that name or address; nil if there is none.
func (c *Cluster) Node(name string) *Node {
	node, _ := c.nodes.Load(name)
	found, _ := node.(*Node)

	return found
}

// newNodeState is the state of a machine right after its boot.
func newNodeState(tb testing.TB, definitions ...meta.ResourceWithRD) state.State {
	tb.Helper()

	st, err := talosapi.NewState(tb.Context(), map[string]string{
		k8s.NamespaceName:     "Kubernetes",
		cluster.NamespaceName: "the cluster and its members",
		config.NamespaceName:  "the configuration",
		runtime.NamespaceName: "the machine",
	}, definitions...)
	require.NoError(tb, err)

	return st
}

// DisableDiscovery lets the cluster say that it will never name members.
func (c *Cluster) DisableDiscovery(tb testing.TB) {
	tb.Helper()

	require.NoError(tb, c.state.Create(tb.Context(), cluster.NewConfig(config.NamespaceName, cluster.ConfigID)))
}

// Endpoint is the address of the Talos API.
func (c *Cluster) Endpoint() string { return c.endpoint.Address() }

// Client makes a client with the role os:reader, which is closed when the test ends.
func (c *Cluster) Client(tb testing.TB) *client.Client {
	tb.Helper()

	return c.ClientWith(tb, role.MakeSet(role.Reader))
}

// ClientWith makes a client with other roles, which is closed when the test ends.
func (c *Cluster) ClientWith(tb testing.TB, roles role.Set) *client.Client {
	tb.Helper()

	config, err := c.Authority.Config("test", talosapi.ClientConfig{Endpoints: []string{c.Endpoint()}, Roles: roles})
	require.NoError(tb, err)

	talos, err := client.New(tb.Context(), client.WithConfig(config))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, talos.Close()) })

	return talos
}

// Say sets the recovery status of the node.
func (node *Node) Say(tb testing.TB, spec recovery.RecoveryStatusSpec) {
	tb.Helper()

	require.NoError(tb, safe.StateModify(tb.Context(), node.state, recovery.NewRecoveryStatus(), func(res *recovery.RecoveryStatus) error {
		*res.TypedSpec() = spec

		return nil
	}))
}

// Forget removes the recovery status of the node, as a boot does.
func (node *Node) Forget(tb testing.TB) {
	tb.Helper()

	require.NoError(tb, node.state.Destroy(tb.Context(), recovery.NewRecoveryStatus().Metadata()))
}

// Mirror lets the node see its Node object, with these annotations.
func (node *Node) Mirror(tb testing.TB, name string, ready bool, annotations map[string]string) {
	tb.Helper()

	require.NoError(tb, safe.StateModify(tb.Context(), node.state, k8s.NewNodeStatus(k8s.NamespaceName, name), func(res *k8s.NodeStatus) error {
		*res.TypedSpec() = k8s.NodeStatusSpec{Nodename: name, NodeReady: ready, Annotations: annotations}

		return nil
	}))
}

// Register lets the node know the name of its Node object.
func (node *Node) Register(tb testing.TB, name string) {
	tb.Helper()

	nodename := k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID)
	nodename.TypedSpec().Nodename = name

	require.NoError(tb, node.state.Create(tb.Context(), nodename))
}

// SkipRegistration lets the node have no Node object.
func (node *Node) SkipRegistration(tb testing.TB) {
	tb.Helper()

	name := k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID)
	name.TypedSpec().SkipNodeRegistration = true

	require.NoError(tb, node.state.Create(tb.Context(), name))
}

// SyncTime lets the node find its clock to be right, or not yet.
func (node *Node) SyncTime(tb testing.TB, synced bool) {
	tb.Helper()

	require.NoError(tb, safe.StateModify(tb.Context(), node.state, timeres.NewStatus(), func(res *timeres.Status) error {
		res.TypedSpec().Synced = synced

		return nil
	}))
}

// Create adds a resource of one of the node's own types.
func (node *Node) Create(tb testing.TB, res resource.Resource) {
	tb.Helper()

	require.NoError(tb, node.state.Create(tb.Context(), res))
}

// Start lets the node answer again after Stop or Hang.
func (node *Node) Start(tb testing.TB) {
	tb.Helper()

	config := talosapi.MachineConfig{State: node.state, Version: talosVersion}
	if node.configure != nil {
		node.configure(&config)
	}

	node.serve(tb, talosapi.NewMachine(config))
}

// Configure changes what the node answers with, from now on.
func (node *Node) Configure(tb testing.TB, change func(*talosapi.MachineConfig)) {
	tb.Helper()

	node.configure = change
	node.Start(tb)
}

func (node *Node) serve(tb testing.TB, server *grpc.Server) {
	tb.Helper()

	node.Stop()

	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))

	wait, err := talosapi.Serve(ctx, server, node.path)
	require.NoError(tb, err)

	node.stop = func() {
		cancel()
		require.NoError(tb, wait())
	}
}

// Stop takes the node away: requests to it fail at once.
func (node *Node) Stop() {
	if node.stop != nil {
		node.stop()
	}

	node.stop = nil
}

// Hang makes the node take requests and never answer.
func (node *Node) Hang(tb testing.TB) {
	tb.Helper()

	node.serve(tb, grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		<-stream.Context().Done()

		return stream.Context().Err()
	})))
}

// Reboot makes the node answer again, with an empty state.
func (node *Node) Reboot(tb testing.TB) {
	tb.Helper()

	node.state = newNodeState(tb, recovery.ResourceDefinitions()...)
	node.Start(tb)
}

// Target is where gRPC finds the node.
func (node *Node) Target() string { return "unix://" + node.path }

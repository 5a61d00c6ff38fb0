// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/role"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

const (
	// contextName is the name of the only context in each talosconfig.
	contextName = "rebound-lab"
	// talosconfigLifetime is for how long a talosconfig is good; longer than a lab.
	talosconfigLifetime = 365 * 24 * time.Hour
)

// firstAddress is the first node's, as in a cluster of talosctl cluster create.
var firstAddress = netip.MustParseAddr("10.5.0.2")

// talosAPI is the way into a lab for clients of the Talos API: one endpoint on
// loopback, as that of a control plane node, which passes calls on to the node
// that they name.
//
// The machine behind the endpoint itself runs neither a kubelet nor rebound.
// All it has is the list of the cluster's members, the nodes of the lab, which
// it is not one of: whoever checks every member checks every node.
type talosAPI struct {
	authority *talosapi.Authority
	members   state.State
	endpoint  *talosapi.Endpoint
	stopLocal func() error
}

// startTalosAPI starts the lab's one Talos API endpoint, without members.
func (lab *Lab) startTalosAPI(ctx context.Context) error {
	var (
		api talosAPI
		err error
	)

	if api.authority, err = talosapi.NewAuthority(); err != nil {
		return err
	}

	if api.members, err = talosapi.NewState(ctx, map[string]string{
		cluster.NamespaceName: "Cluster configuration and discovery resources.",
	}, &cluster.Member{}); err != nil {
		return err
	}

	local := talosapi.NewMachine(talosapi.MachineConfig{State: api.members, Version: gendata.VersionTag})
	// The caller's context may be for the start alone.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))

	wait, err := talosapi.Serve(serving, local, lab.localSocket())
	if err != nil {
		stop()

		return err
	}

	api.stopLocal = func() error {
		stop()

		return wait()
	}

	//nolint:contextcheck // it serves until it is closed
	if api.endpoint, err = talosapi.Listen(talosapi.EndpointConfig{
		Address:   loopback.HostPort(0),
		Authority: api.authority,
		Local:     target(lab.localSocket()),
		Resolve:   lab.resolve,
	}); err != nil {
		return errors.Join(err, api.stopLocal())
	}

	lab.talosAPI = &api

	return lab.WriteTalosconfig(lab.Talosconfig(), role.MakeSet(role.Admin))
}

// close ends every call and closes the endpoint. It may be called again, and on
// a nil API, which was never started.
func (api *talosAPI) close() error {
	if api == nil {
		return nil
	}

	if err := errors.Join(api.endpoint.Close(), api.stopLocal()); err != nil {
		return fmt.Errorf("failed to close Talos API: %w", err)
	}

	return nil
}

// join makes the node a member of the cluster and gives it an address. Nothing
// listens there: name and address both lead to the node's API.
func (lab *Lab) join(ctx context.Context, node *Node) error {
	lab.mu.Lock()
	defer lab.mu.Unlock()

	if _, ok := lab.nodes[node.name]; ok {
		return fmt.Errorf("failed to add node %q: it exists", node.name)
	}

	node.address = firstAddress

	for _, other := range lab.nodes {
		if !other.address.Less(node.address) {
			node.address = other.address.Next()
		}
	}

	node.config.Address = node.address.String()

	member := cluster.NewMember(cluster.NamespaceName, node.name)
	*member.TypedSpec() = cluster.MemberSpec{
		NodeID:          node.name,
		Addresses:       []netip.Addr{node.address},
		Hostname:        node.name,
		MachineType:     machine.TypeWorker,
		OperatingSystem: "Talos (" + gendata.VersionTag + ")",
	}

	if node.etcd != nil {
		member.TypedSpec().MachineType = machine.TypeControlPlane
	}

	if err := lab.talosAPI.members.Create(ctx, member); err != nil {
		return fmt.Errorf("failed to create member %q: %w", node.name, err)
	}

	lab.nodes[node.name] = node

	return lab.joinEtcd(node)
}

// RemoveNode ends the node at once and for good: it is no member of the cluster
// any more, and there is no Node object of its name.
func (lab *Lab) RemoveNode(ctx context.Context, node *Node) error {
	if err := node.Kill(); err != nil {
		return err
	}

	if err := lab.leave(ctx, node); err != nil {
		return err
	}

	if err := lab.client.CoreV1().Nodes().Delete(ctx, node.name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to delete node %q: %w", node.name, err)
	}

	return nil
}

// leave makes the node no member of the cluster any more.
func (lab *Lab) leave(ctx context.Context, node *Node) error {
	lab.mu.Lock()
	delete(lab.nodes, node.name)
	lab.mu.Unlock()

	if err := lab.talosAPI.members.Destroy(ctx, cluster.NewMember(cluster.NamespaceName, node.name).Metadata()); err != nil && !state.IsNotFoundError(err) {
		return fmt.Errorf("failed to remove member %q: %w", node.name, err)
	}

	return nil
}

// resolve returns where the API is of a node that is called by its name or its
// address. talosctl asks no machine that it was not told to ask: the one behind
// the endpoint is at the endpoint's own address.
func (lab *Lab) resolve(called string) (string, bool) {
	if called == loopback.Address {
		return target(lab.localSocket()), true
	}

	for _, node := range lab.Nodes() {
		if called == node.name || called == node.address.String() {
			return target(node.config.Root.APISocket()), true
		}
	}

	return "", false
}

// target is how gRPC calls a unix socket.
func target(socket string) string { return "unix://" + socket }

func (lab *Lab) localSocket() string { return lab.path("control-plane.sock") }

// Talosconfig returns the path of a talosconfig file with the role os:admin. It
// names the lab's endpoint and no nodes. A call that names no node is answered
// by a machine without kubelet and without rebound, whose list of members has
// every node of the lab, and not itself.
func (lab *Lab) Talosconfig() string { return lab.path("talosconfig") }

// WriteTalosconfig writes a talosconfig file with other roles to path.
func (lab *Lab) WriteTalosconfig(path string, roles role.Set) error {
	config, err := lab.talosAPI.authority.Config(contextName, talosapi.ClientConfig{
		Endpoints: []string{lab.talosAPI.endpoint.Address()},
		Roles:     roles,
		Lifetime:  talosconfigLifetime,
	})
	if err != nil {
		return err
	}

	if err = config.Save(path); err != nil {
		return fmt.Errorf("failed to write talosconfig %q: %w", path, err)
	}

	return nil
}

// Address returns the node's address as the Talos API and its Node object have
// it: that of a member of the cluster. Nothing listens there.
func (node *Node) Address() netip.Addr { return node.address }

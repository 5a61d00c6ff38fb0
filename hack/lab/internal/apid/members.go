// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apid

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/registry"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
)

// members is the COSI state of the machine behind the endpoint.
type members struct {
	state state.State
}

func newMembers(ctx context.Context) (*members, error) {
	st := state.WrapCore(namespaced.NewState(inmem.Build))

	namespaces := registry.NewNamespaceRegistry(st)
	definitions := registry.NewResourceRegistry(st)

	if err := namespaces.RegisterDefault(ctx); err != nil {
		return nil, fmt.Errorf("failed to register default namespaces: %w", err)
	}

	if err := definitions.RegisterDefault(ctx); err != nil {
		return nil, fmt.Errorf("failed to register default resource definitions: %w", err)
	}

	if err := namespaces.Register(ctx, cluster.NamespaceName, "Cluster configuration and discovery resources."); err != nil {
		return nil, fmt.Errorf("failed to register namespace %q: %w", cluster.NamespaceName, err)
	}

	if err := definitions.Register(ctx, &cluster.Member{}); err != nil {
		return nil, fmt.Errorf("failed to register resource %q: %w", cluster.MemberType, err)
	}

	return &members{state: st}, nil
}

// add adds a worker. It fails if there is one of that name.
func (members *members) add(ctx context.Context, name string, address netip.Addr) error {
	member := cluster.NewMember(cluster.NamespaceName, name)
	*member.TypedSpec() = cluster.MemberSpec{
		NodeID:          name,
		Addresses:       []netip.Addr{address},
		Hostname:        name,
		MachineType:     machine.TypeWorker,
		OperatingSystem: "Talos (" + gendata.VersionTag + ")",
	}

	if err := members.state.Create(ctx, member); err != nil {
		return fmt.Errorf("failed to create member %q: %w", name, err)
	}

	return nil
}

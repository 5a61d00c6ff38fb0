// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apid

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// members is the COSI state of the machine behind the endpoint.
type members struct {
	state state.State
}

func newMembers(ctx context.Context) (*members, error) {
	st, err := talosapi.NewState(ctx, map[string]string{
		cluster.NamespaceName: "Cluster configuration and discovery resources.",
	}, &cluster.Member{})
	if err != nil {
		return nil, err
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

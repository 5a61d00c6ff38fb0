// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"net/netip"

	"github.com/siderolabs/talos/pkg/machinery/role"

	"github.com/talos-rebound/rebound/hack/lab/internal/apid"
)

// startTalosAPI starts the lab's one Talos API endpoint.
func (lab *Lab) startTalosAPI(ctx context.Context) error {
	var err error

	if lab.talosAPI, err = apid.Listen(ctx, lab.folder); err != nil {
		return err
	}

	return lab.WriteTalosconfig(lab.Talosconfig(), role.MakeSet(role.Admin))
}

// Talosconfig returns the path of a talosconfig file with the role os:admin. It
// names the lab's endpoint and no nodes. A call that names no node is answered
// by a machine without kubelet and without rebound, whose list of members has
// every node of the lab, and not itself.
func (lab *Lab) Talosconfig() string { return lab.path("talosconfig") }

// WriteTalosconfig writes a talosconfig file with other roles to path.
func (lab *Lab) WriteTalosconfig(path string, roles role.Set) error {
	return lab.talosAPI.WriteTalosconfig(path, roles)
}

// Address returns the node's address as the Talos API knows it: that of a
// member of the cluster. Nothing listens there.
func (node *Node) Address() netip.Addr { return node.address }

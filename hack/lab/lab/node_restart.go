// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"
)

// RestartKubelet kills the kubelet and starts it again in the same boot. It
// returns when the node has registered again.
//
// The kubelet shares its process with the rest of the machine, so all of that
// begins anew, and the containers are gone as if they had crashed. Boots counts
// it as a boot of the same id.
func (node *Node) RestartKubelet(ctx context.Context) error {
	if err := node.Kill(); err != nil {
		return err
	}

	if err := node.turnOn(ctx, powerOff, node.BootID()); err != nil {
		return fmt.Errorf("failed to start the kubelet of node %q: %w", node.name, err)
	}

	node.attend(context.WithoutCancel(ctx))

	if err := node.waitRegistered(ctx); err != nil {
		return fmt.Errorf("failed to wait for node %q to register: %w", node.name, err)
	}

	return nil
}

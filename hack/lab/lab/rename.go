// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
)

// RenameNode gives a node that is down another name, with the certificate that
// goes with it. Its Node object keeps the old name, and so do its pods: with the
// next boot the kubelet registers as another node.
func (lab *Lab) RenameNode(ctx context.Context, node *Node, name string) error {
	if node.Running() {
		return errors.New("failed to rename node: it is running")
	}

	if err := lab.leave(ctx, node); err != nil {
		return err
	}

	node.name, node.config.Name = name, name

	if err := node.RotateCertificate(certificateLifetime); err != nil {
		return err
	}

	return lab.join(ctx, node)
}

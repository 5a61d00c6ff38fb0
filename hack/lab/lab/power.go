// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// CutPower ends the control plane and all nodes at once, as a power failure
// does. What is on disk stays: etcd's data, and the root folders of the nodes.
// Coordinators, which are pods elsewhere, go on.
func (lab *Lab) CutPower() error {
	var errs []error

	// The control plane first: nothing must tell it that nodes went down.
	for _, child := range lab.children {
		errs = append(errs, child.kill())
	}

	for _, node := range lab.Nodes() {
		errs = append(errs, node.Kill())
	}

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("failed to cut the power: %w", err)
	}

	return nil
}

// RestorePower starts all that CutPower has ended, in no order: every machine
// boots by itself. It returns when the control plane is ready and all nodes have
// registered.
func (lab *Lab) RestorePower(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)

	for _, node := range lab.Nodes() {
		group.Go(func() error { return node.Boot(groupCtx) })
	}

	group.Go(func() error { return lab.startComponents(groupCtx) })

	if err := group.Wait(); err != nil {
		return fmt.Errorf("failed to restore the power: %w", err)
	}

	for _, node := range lab.Nodes() {
		if err := node.waitRegistered(ctx); err != nil {
			return fmt.Errorf("failed to restore the power: node %q does not register: %w", node.name, err)
		}
	}

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"fmt"

	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
)

// HideBootID keeps rebound in machined from reading the boot id, in every boot
// from the next one on until ShowBootID. The kubelet reads it all the same.
func (node *Node) HideBootID() error {
	return node.changeRebound(func(rebound *machine.Rebound) { rebound.HidesBootID = true })
}

// ShowBootID makes the id of the current boot readable, and those of the boots
// to come.
func (node *Node) ShowBootID() error {
	if err := node.changeRebound(func(rebound *machine.Rebound) { rebound.HidesBootID = false }); err != nil {
		return err
	}

	if err := node.config.Root.ShowBootID(node.BootID()); err != nil {
		return fmt.Errorf("failed to show boot id of node %q: %w", node.name, err)
	}

	return nil
}

// Moment is one at which rebound's recovery controller in machined can panic.
type Moment = machine.Moment

// Moments returns all of them, in the order in which a recovery comes to them.
func Moments() []Moment { return machine.Moments() }

// PanicAt makes rebound's recovery controller in machined panic once at each of
// the moments in every boot from the next one on; without moments it never does.
func (node *Node) PanicAt(moments ...Moment) error {
	return node.changeRebound(func(rebound *machine.Rebound) { rebound.Panics = moments })
}

// changeRebound changes how rebound in machined runs from the next boot on.
func (node *Node) changeRebound(change func(*machine.Rebound)) error {
	if node.config.Rebound == nil {
		return fmt.Errorf("failed to change rebound in machined: node %q has none", node.name)
	}

	rebound := *node.config.Rebound
	change(&rebound)
	node.config.Rebound = &rebound

	return nil
}

// PanicText is what the log of the node has when rebound panicked at the moment.
func PanicText(moment Moment) string { return machine.PanicText(moment) }

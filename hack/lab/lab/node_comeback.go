// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
)

// Boot is one run of a machine.
type Boot struct {
	// ID is the boot id. It is that of the boot before if the machine only
	// pretended to reboot.
	ID string
	// Up and Down are when the machine was turned on, and when it was off again.
	// Down is zero while it runs.
	Up, Down time.Time
}

// Boots returns what the machine has gone through, the latest last. It is the
// lab's own knowledge, whatever the API server says about the node.
func (node *Node) Boots() []Boot {
	node.mu.Lock()
	defer node.mu.Unlock()

	return slices.Clone(node.boots)
}

// lastBoot is the current boot, or the last one; zero before the first.
func (node *Node) lastBoot() Boot {
	node.mu.Lock()
	defer node.mu.Unlock()

	if len(node.boots) == 0 {
		return Boot{}
	}

	return node.boots[len(node.boots)-1]
}

// Comeback is how a machine comes back that reboots by itself. The zero value
// is a machine that does as it should.
type Comeback struct {
	// Off is how long the machine is off; a second at least.
	Off time.Duration
	// Never leaves the machine off. Node.Start turns it on.
	Never bool
	// SameBoot brings the machine back with the boot id that it had, as if nothing
	// but the kubelet had been started again.
	SameBoot bool
	// NoNetwork takes the network's configuration away before the machine is on
	// again, so that the node is not Ready until Node.InstallNetwork.
	NoNetwork bool
}

// SetComeback says how the machine comes back from now on.
func (node *Node) SetComeback(comeback Comeback) {
	node.mu.Lock()
	defer node.mu.Unlock()

	node.comeback = comeback
}

// InstallNetwork gives a node back what Comeback.NoNetwork took. The kubelet
// notices within some seconds.
func (node *Node) InstallNetwork() error { return node.config.Root.InstallNetwork() }

// RemoveNetwork makes a node not Ready, within some seconds, until
// InstallNetwork: its kubelet says so itself.
func (node *Node) RemoveNetwork() error { return node.config.Root.RemoveNetwork() }

// RequestReboot asks the machine to reboot by itself, as the node's logind and
// its Talos API do. It returns before anything has happened.
func (node *Node) RequestReboot() error { return node.signal(machine.SignalReboot) }

// RebootCommand is the path of a command that makes the machine reboot by
// itself, whoever runs it. It is the same for every boot.
func (node *Node) RebootCommand() string { return node.config.Root.RebootCommand() }

// rebooted says whether a machine that is down is to be turned on again.
func rebooted(process *component.Process) bool { return process.ExitCode() == machine.ExitRebooted }

// attend turns the machine on again whenever it reboots by itself, until
// ctx is done, endAttendance is called, or the machine goes down for another reason.
func (node *Node) attend(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})

	node.attended = func() {
		cancel()
		<-ended
	}

	go func() {
		defer close(ended)

		for node.isBackAfterReboot(ctx) {
		}
	}()
}

// endAttendance returns when nobody but the caller turns the machine on or off,
// with what went wrong until then.
func (node *Node) endAttendance() error {
	if node.attended != nil {
		node.attended()
	}

	node.mu.Lock()
	defer node.mu.Unlock()

	err := node.failure
	node.failure = nil

	return err
}

// isBackAfterReboot waits for the end of the current boot and begins the next
// one. It returns false if there is none.
func (node *Node) isBackAfterReboot(ctx context.Context) bool {
	process := node.current()

	select {
	case <-ctx.Done():
		return false
	case <-process.Ended():
	}

	if !rebooted(process) {
		return false
	}

	err := node.isDown()

	node.mu.Lock()
	comeback, bootID := node.comeback, node.bootID
	node.mu.Unlock()

	if err == nil && comeback.Never {
		return false
	}

	if err == nil && comeback.NoNetwork {
		err = node.config.Root.RemoveNetwork()
	}

	if !comeback.SameBoot {
		bootID = uuid.NewString()
	}

	if err == nil {
		err = node.turnOn(ctx, max(comeback.Off, powerOff), bootID)
	}

	if err != nil && ctx.Err() == nil {
		node.mu.Lock()
		node.failure = fmt.Errorf("failed to turn node %q on again: %w", node.name, err)
		node.mu.Unlock()
	}

	return err == nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kured

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Fleet is a kured for each node of a lab. The nodes themselves do not know of
// it: whoever has the fleet starts the kured of a node anew when that has booted.
type Fleet struct {
	program Program
	account account
	folder  string
	self    string
	flags   []string
	say     func(node, line string)

	mu        sync.Mutex
	processes map[string]*component.Process
}

// Deploy prepares the cluster for kured with the flags. Every line that one of
// its processes writes is given to say, which must not block.
func Deploy(ctx context.Context, cluster *lab.Lab, program Program, flags []string, say func(node, line string)) (*Fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("failed to find the running binary: %w", err)
	}

	account, err := newAccount(ctx, cluster)
	if err != nil {
		return nil, err
	}

	return &Fleet{
		program: program, account: account, folder: filepath.Join(cluster.Folder(), "log"), self: self,
		flags: flags, say: say, processes: map[string]*component.Process{},
	}, nil
}

// Start starts the kured of a node. One that runs is ended first, as a boot of
// the node does. The node wants to be rebooted while the file sentinel exists.
func (fleet *Fleet) Start(node *lab.Node, sentinel string) error {
	fleet.mu.Lock()
	defer fleet.mu.Unlock()

	name := node.Name()

	if running, ok := fleet.processes[name]; ok {
		if err := running.Kill(); err != nil {
			return fmt.Errorf("failed to end the kured of node %q: %w", name, err)
		}

		delete(fleet.processes, name)
	}

	// What kured runs to reboot is this binary, as the component that the
	// environment makes it. Kured itself does not look at that variable.
	env := []string{"KURED_NODE_ID=" + name, component.Environ(component.Rebooter)}
	args := slices.Concat(fleet.flags, []string{
		"--reboot-sentinel=" + sentinel,
		fmt.Sprintf("--reboot-command='%s' '%s'", fleet.self, node.BusAddress()),
		// All of them are on one address: any free port will do.
		"--metrics-host=127.0.0.1",
		"--metrics-port=0",
	})

	process, err := fleet.account.start(env, filepath.Join(fleet.folder, Name+"-"+name+".log"), func(line string) { fleet.say(name, line) }, fleet.program.Path, args...)
	if err != nil {
		return err
	}

	fleet.processes[name] = process

	return nil
}

// Close ends all of them, and waits for that. It may be called again.
func (fleet *Fleet) Close() error {
	fleet.mu.Lock()
	defer fleet.mu.Unlock()

	errs := make([]error, 0, len(fleet.processes))

	for _, running := range fleet.processes {
		// Kured has no part that runs at its end.
		errs = append(errs, running.Kill())
	}

	clear(fleet.processes)

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("failed to end kured: %w", err)
	}

	return nil
}

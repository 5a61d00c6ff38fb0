// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// controlPlane takes components away and brings them back, one thing at a time
// for each.
type controlPlane struct {
	lab   *lab.Lab
	locks map[component.Name]*sync.Mutex
}

func newControlPlane(cluster *lab.Lab) *controlPlane {
	c := &controlPlane{lab: cluster, locks: map[component.Name]*sync.Mutex{}}

	for _, name := range slices.Concat(vital, others) {
		c.locks[component.Name(name)] = &sync.Mutex{}
	}

	return c
}

// suffer takes a component away for a while.
func (c *controlPlane) suffer(ctx context.Context, name component.Name, kind Kind, lasts time.Duration) error {
	c.locks[name].Lock()
	defer c.locks[name].Unlock()

	away := c.lab.StopComponent
	if kind == ComponentKilled {
		away = c.lab.KillComponent
	}

	if err := away(name); err != nil {
		return err
	}

	if !pause(ctx, lasts) {
		return nil
	}

	if err := c.start(ctx, name); err != nil || !slices.Contains(vital, string(name)) {
		return err
	}

	return c.afterOutage(ctx)
}

// start tries until the component is ready: one that finds no API server ends.
func (c *controlPlane) start(ctx context.Context, name component.Name) error {
	return insist(ctx, func(ctx context.Context) error { return c.lab.StartComponent(ctx, name) })
}

// afterOutage starts the others where they have ended, and the scheduler in any
// case: it may take a minute to notice that the API server is back. The
// controller manager goes on, with its back-off in memory.
func (c *controlPlane) afterOutage(ctx context.Context) error {
	for _, name := range others {
		if err := c.revive(ctx, component.Name(name)); err != nil {
			return err
		}
	}

	return nil
}

func (c *controlPlane) revive(ctx context.Context, name component.Name) error {
	c.locks[name].Lock()
	defer c.locks[name].Unlock()

	if name == component.Scheduler {
		if err := c.lab.StopComponent(name); err != nil {
			return err
		}
	}

	return c.start(ctx, name)
}

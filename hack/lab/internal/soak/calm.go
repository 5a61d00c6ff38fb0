// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"sync"
	"time"
)

// coordinator is who is meant, among those that can be disturbed, when it is no
// node.
const coordinator = ""

// calm keeps who is disturbed, and since when nobody is any more.
type calm struct {
	mu sync.Mutex
	on map[string]int
	at map[string]time.Time
}

// newCalm disturbs nobody from now on.
func newCalm(now time.Time) *calm {
	c := &calm{on: map[string]int{}, at: map[string]time.Time{coordinator: now}}

	for name := range nodeRoles {
		c.at[name] = now
	}

	return c
}

func (c *calm) begin(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, name := range names {
		c.on[name]++
	}
}

func (c *calm) end(now time.Time, names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, name := range names {
		c.on[name]--
		c.at[name] = now
	}
}

// since returns those that nothing disturbs, and since when.
func (c *calm) since() map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	since := map[string]time.Time{}

	for name, at := range c.at {
		if c.on[name] == 0 {
			since[name] = at
		}
	}

	return since
}

// disturbed are those that the event disturbs. What befalls a replica disturbs
// the coordinator.
func (event Event) disturbed() []string {
	switch {
	case event.disturbs == everything:
		return append(nodesOf(Machined, Agent, Stock), coordinator)
	case isReplica(event.Target):
		return []string{coordinator}
	case event.disturbs == target:
		return []string{event.Target}
	default:
		return nil
	}
}

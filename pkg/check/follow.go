// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"context"
	"time"

	"github.com/cosi-project/runtime/pkg/state"

	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// The time between the end of a watch and the next one doubles while a node cannot be watched: it is down, or its
// Talos was built without rebound. A node with an agent is only asked.
const (
	watchRetryDelay    = time.Second
	maxWatchRetryDelay = 16 * time.Second
)

// follow watches a node until ctx ends and passes on what it says. It says nothing about a node that cannot be watched,
// except once when a watch breaks off.
func follow(ctx context.Context, st state.State, node Node, say func(Answer)) {
	delay := watchRetryDelay

	for {
		if watch(ctx, st, node, say) {
			delay = watchRetryDelay

			say(Fetch(ctx, st, []Node{node})[0])
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
			delay = min(2*delay, maxWatchRetryDelay)
		}
	}
}

// watch watches a node until the watch or ctx ends. It returns whether there was a watch that broke off.
func watch(ctx context.Context, st state.State, node Node, say func(Answer)) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	events := make(chan state.Event)

	if err := st.Watch(to(ctx, node), recovery.NewRecoveryStatus().Metadata(), events); err != nil {
		return false
	}

	for {
		select {
		case <-ctx.Done():
			return false
		case event := <-events:
			switch event.Type {
			case state.Created, state.Updated:
				if res, ok := event.Resource.(*recovery.RecoveryStatus); ok {
					say(answered(node, res))
				}
			case state.Destroyed:
				say(Answer{Node: node, Outcome: OutcomeNotFound})
			case state.Errored:
				return true
			case state.Bootstrapped, state.Noop:
			}
		}
	}
}

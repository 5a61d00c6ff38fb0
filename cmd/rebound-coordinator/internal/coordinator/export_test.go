// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// What the tests call by itself.
var (
	CachesFilled = cachesFilled
	EventOf      = eventOf
	LastSuccess  = lastSuccess
)

// Validate checks a configuration.
func (c *Config) Validate() error { return c.validate() }

// Predicates returns which changes of nodes and pods lead to a decision. busy are the nodes with something to do; nil before
// the first decision.
func Predicates(busy sets.Set[string]) (nodes, pods predicate.Predicate) {
	r := &reconciler{}
	if busy != nil {
		r.setBusy(busy)
	}

	return r.nodeChanges(), r.podChanges()
}

// Measure takes a status that was written after another.
func Measure(was, now reboot.Status) { newMetrics().step(was, now) }

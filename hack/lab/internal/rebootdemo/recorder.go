// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// recorder keeps what is seen of the nodes, and why they wait.
type recorder struct {
	witness  *lab.Witness
	narrator narrator

	mu      sync.Mutex
	waits   []Wait
	changed chan struct{}
}

// narrator is told what is recorded, in its order. It must not block.
type narrator interface {
	saw(sight lab.NodeSight)
	waits(wait Wait)
}

// record watches the nodes until ctx is done.
func record(ctx context.Context, cluster *lab.Lab, narrator narrator) (*recorder, error) {
	r := &recorder{narrator: narrator, changed: make(chan struct{})}

	witness, err := cluster.WitnessNodes(ctx, func(sight lab.NodeSight) {
		r.mu.Lock()
		defer r.mu.Unlock()

		r.announce()
		r.narrator.saw(sight)
	})
	r.witness = witness

	return r, err
}

// waitsFor keeps why a node waits.
func (r *recorder) waitsFor(node, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()

	wait := Wait{At: time.Now(), Node: node, Reason: reason, Message: message}

	for _, last := range slices.Backward(r.waits) {
		if last.Node == node {
			if last.String() == wait.String() {
				return
			}

			break
		}
	}

	r.waits = append(r.waits, wait)
	r.narrator.waits(wait)
}

// why returns why nodes waited.
func (r *recorder) why() []Wait {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Clone(r.waits)
}

// announce wakes those who await something. The lock is held.
func (r *recorder) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until what was seen of the nodes fulfils the condition. The error
// is the cause of the end of ctx.
func (r *recorder) await(ctx context.Context, condition func([]lab.NodeSight) bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()

		if condition(r.witness.Nodes("")) {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

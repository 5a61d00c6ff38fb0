// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"errors"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// restartPause is how long a replica that has ended stays down, as a pod would.
const restartPause = time.Second

// replica is one of the coordinator. It is started again whenever it ends, as a
// kubelet does with a container. Only the goroutine in keep touches the process.
type replica struct {
	*lab.Coordinator

	orders chan order
}

// order is what is to be done to a replica, and what is closed when it is undone.
type order struct {
	kind  Kind
	lasts time.Duration
	done  chan struct{}
}

func newReplica(coordinator *lab.Coordinator) *replica {
	return &replica{Coordinator: coordinator, orders: make(chan order)}
}

// suffer has it killed or paused, and returns when it was started or goes on.
func (r *replica) suffer(ctx context.Context, kind Kind, lasts time.Duration) error {
	order := order{kind, lasts, make(chan struct{})}

	select {
	case r.orders <- order:
	case <-ctx.Done():
		return nil
	}

	select {
	case <-order.done:
	case <-ctx.Done():
	}

	return nil
}

// keep keeps the replica running until ctx is done.
func (r *replica) keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case order := <-r.orders:
			err := r.obey(ctx, order)
			close(order.done)

			if err != nil {
				return err
			}
		case <-r.Ended():
			if pause(ctx, restartPause) {
				r.restart(ctx)
			}
		}
	}
}

func (r *replica) obey(ctx context.Context, order order) error {
	// One that has just ended by itself cannot be paused any more.
	if order.kind == ReplicaPaused && r.Running() {
		if err := r.Pause(); err != nil && r.Running() {
			return err
		}

		pause(ctx, order.lasts)

		if err := r.Resume(); err != nil && r.Running() {
			return err
		}

		return nil
	}

	if err := r.Kill(); err != nil {
		return err
	}

	if pause(ctx, order.lasts) {
		r.restart(ctx)
	}

	return nil
}

// restart tries once. One that cannot start, because there is no API server,
// ends, and is started again like any other.
func (r *replica) restart(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, errors.New("not ready yet"))
	defer cancel()

	r.Start(ctx) //nolint:errcheck // as said
}

// readyLimit is how long is waited for a replica to be ready. It runs all the
// same.
const readyLimit = 5 * time.Second

// pause returns false if ctx ended it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

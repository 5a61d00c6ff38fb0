// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"go.uber.org/zap"
)

// spy stands between a controller and COSI's runtime: it notes what is written, and can fail a read or a write or keep the
// news back. The zero value lets everything through.
type spy struct {
	mu      sync.Mutex
	written []string
	// queued counts the passes that the controller wished for.
	queued int
	// onRead and onWrite, if set, may fail a read and a write. A write is named by type and id.
	onRead  func() error
	onWrite func(name string) error
	deaf    bool
	// ahead is by how much the clock was ahead when the kubelet's lifecycle was created.
	ahead time.Duration
}

func (s *spy) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()

	change()
}

func (s *spy) writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.Clone(s.written)
}

func (s *spy) wishes() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.queued
}

func (s *spy) isDeaf() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.deaf
}

func (s *spy) read() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.onRead != nil {
		return s.onRead()
	}

	return nil
}

func (s *spy) write(ptr resource.Pointer) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	name := ptr.Type() + "/" + ptr.ID()

	if s.onWrite != nil {
		if err := s.onWrite(name); err != nil {
			return err
		}
	}

	s.written = append(s.written, name)

	return nil
}

// spied is a controller whose runtime is spied on.
type spied struct {
	controller.Controller

	spy *spy
}

func (c spied) Run(ctx context.Context, r controller.Runtime, logger *zap.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan controller.ReconcileEvent)

	var forwarding sync.WaitGroup

	defer forwarding.Wait()
	defer cancel()

	forwarding.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-r.EventCh():
				if c.spy.isDeaf() {
					continue
				}

				select {
				case <-ctx.Done():
					return
				case events <- event:
				}
			}
		}
	})

	return c.Controller.Run(ctx, spiedRuntime{Runtime: r, spy: c.spy, events: events}, logger)
}

type spiedRuntime struct {
	controller.Runtime

	spy    *spy
	events <-chan controller.ReconcileEvent
}

func (r spiedRuntime) EventCh() <-chan controller.ReconcileEvent { return r.events }

func (r spiedRuntime) QueueReconcile() {
	r.spy.set(func() { r.spy.queued++ })
	r.Runtime.QueueReconcile()
}

func (r spiedRuntime) Get(ctx context.Context, ptr resource.Pointer, options ...state.GetOption) (resource.Resource, error) {
	if err := r.spy.read(); err != nil {
		return nil, err
	}

	res, err := r.Runtime.Get(ctx, ptr, options...)
	if err == nil && ptr.Type() == k8s.KubeletLifecycleType {
		res = res.DeepCopy()
		res.Metadata().SetCreated(res.Metadata().Created().Add(r.spy.ahead))
	}

	return res, err
}

func (r spiedRuntime) Modify(
	ctx context.Context, empty resource.Resource, change func(resource.Resource) error, options ...controller.ModifyOption,
) error {
	if err := r.spy.write(empty.Metadata()); err != nil {
		return err
	}

	return r.Runtime.Modify(ctx, empty, change, options...)
}

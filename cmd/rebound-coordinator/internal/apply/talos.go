// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/talos"
	"github.com/talos-rebound/rebound/internal/reboot"
)

// TalosAPI asks the Talos API of a node, as talos.Client does.
type TalosAPI interface {
	Check(ctx context.Context, node talos.Node) error
	EtcdHealth(ctx context.Context, addresses []string) error
	Reboot(ctx context.Context, node talos.Node) error
}

// Talos asks Talos APIs, each node on its own, and remembers the answers. It is a manager.Runnable, as Evictor.
type Talos struct {
	api     TalosAPI
	changed func()
	logger  *zap.Logger
	queue   chan func(context.Context)

	mu      sync.Mutex
	answers map[string]reboot.TalosAnswer
	asking  map[question]bool
}

// question is one that is asked of a node once at a time.
type question struct {
	node   string
	reboot bool
}

// NewTalos makes a Talos. It calls changed whenever there is an answer.
func NewTalos(api TalosAPI, changed func(), logger *zap.Logger) *Talos {
	return &Talos{
		api: api, changed: changed, logger: logger, queue: make(chan func(context.Context), queuedActions),
		answers: map[string]reboot.TalosAnswer{}, asking: map[question]bool{},
	}
}

// Start works until ctx is done, and returns when no request is under way. Requests end with ctx.
func (t *Talos) Start(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()

	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case work := <-t.queue:
			group.Go(func() { work(ctx) })
		}
	}

	return nil
}

// Answers returns what is known, and forgets nodes that are not asked for.
func (t *Talos) Answers(asked func(node string) bool) map[string]reboot.TalosAnswer {
	t.mu.Lock()
	defer t.mu.Unlock()

	maps.DeleteFunc(t.answers, func(node string, _ reboot.TalosAnswer) bool { return !asked(node) })

	return maps.Clone(t.answers)
}

// submit has a question asked, unless it is being asked.
func (t *Talos) submit(q question, begin func(*reboot.TalosAnswer), ask func(context.Context) func(*reboot.TalosAnswer)) {
	t.mu.Lock()
	defer t.mu.Unlock()

	if t.asking[q] {
		return
	}

	run := func(ctx context.Context) {
		end := ask(ctx)

		t.mu.Lock()
		answer := t.answers[q.node]
		end(&answer)
		t.answers[q.node] = answer
		delete(t.asking, q)
		t.mu.Unlock()

		t.changed()
	}

	select {
	case t.queue <- run:
		answer := t.answers[q.node]
		begin(&answer)
		t.answers[q.node], t.asking[q] = answer, true
	default:
	}
}

// Check asks whether the Talos API of the node can be used, and, of a control plane, whether etcd can do without it: others
// are the addresses of the other control planes, whose members have to be well.
func (t *Talos) Check(node, address string, others []string) {
	t.submit(question{node: node}, func(*reboot.TalosAnswer) {}, func(ctx context.Context) func(*reboot.TalosAnswer) {
		problem, etcd := text(t.api.Check(ctx, talos.Node{Name: node, Address: address})), ""

		if len(others) > 0 {
			etcd = text(t.api.EtcdHealth(ctx, others))
		}

		return func(answer *reboot.TalosAnswer) {
			answer.CheckedAt, answer.CheckProblem, answer.EtcdProblem = time.Now(), problem, etcd
		}
	})
}

// Reboot asks the node to reboot, in the attempt with the mark. The request does not say which boot is to end, so it is not
// sent after a point in time by which the node could have rebooted already: this process may have been frozen in between.
// Again is whether somebody else may have asked in this attempt.
func (t *Talos) Reboot(node, address, mark string, again bool, by time.Time) {
	begin := func(answer *reboot.TalosAnswer) {
		if answer.Attempt == mark {
			again = answer.AskedBefore || !answer.Unsent
		}

		answer.AskedBefore = again
		answer.Attempt, answer.AskedAt, answer.InFlight = mark, time.Now(), true
		answer.Refused, answer.Unsent, answer.Message = false, false, ""
	}

	t.submit(question{node: node, reboot: true}, begin, func(ctx context.Context) func(*reboot.TalosAnswer) {
		ctx, cancel := context.WithDeadline(ctx, by)
		defer cancel()

		err, late := ctx.Err(), ctx.Err() != nil
		if !late {
			err = t.api.Reboot(ctx, talos.Node{Name: node, Address: address})
		}

		if err != nil {
			t.logger.Warn("the Talos API has not confirmed a reboot", zap.String("node", node), zap.Error(err))
		} else {
			t.logger.Info("asked the Talos API for a reboot", zap.String("node", node))
		}

		return func(answer *reboot.TalosAnswer) {
			answer.InFlight, answer.Message = false, text(err)
			_, answer.Refused = errors.AsType[talos.RefusedError](err)
			_, answer.Unsent = errors.AsType[talos.UnsentError](err)
			answer.Unsent = answer.Unsent || late
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

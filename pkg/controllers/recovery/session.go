// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

const (
	// pollInterval and pollLimit bound the time between two looks at a Node that has not registered yet, and between two
	// tries to get a connection that broke. It starts short, for a kubelet registers within a second of being healthy.
	pollInterval = 250 * time.Millisecond
	pollLimit    = 5 * time.Second

	// nodeInterval is the least time between two looks at the Node object that the decision asks for.
	nodeInterval = 4 * time.Second

	// An API server that takes busyTime for the first answer has too much to do, as when many nodes come back at once. Then the
	// nodes go on at different times: within busySpread times what it took, and within busyLimit.
	busyTime   = 250 * time.Millisecond
	busySpread = 10
	busyLimit  = time.Minute

	// steadyTime is how long a connection must have lasted to be followed by another one at once.
	steadyTime = 30 * time.Second
)

// sessionKey is what a session depends on. If it changes, the session is of no use any more.
type sessionKey struct {
	node           string
	bootID         string
	kubeconfigHash string
}

// session is a stay at the API server: a connection that is made again whenever it breaks, the watch of this node's pods
// and the deletes that are under way. It ends, with all its goroutines, at stop.
type session struct {
	key     sessionKey
	config  config
	logger  *zap.Logger
	changed chan struct{}
	// mayDelete re-checks what Talos says right before a delete.
	mayDelete func(context.Context) bool

	cancel context.CancelFunc
	work   sync.WaitGroup
	slots  chan struct{}
	// recording has room for one: events are left one after the other.
	recording chan struct{}

	mu   sync.Mutex
	link recovery.Link
	// syncedBoot is the time of the boot as it was when link.SyncedAt was; that is on the same clock.
	syncedBoot time.Time
	problem    string // the last one that was logged, "" once all was well
	current    *connected
	nodeReadAt time.Time
	inFlight   map[string]bool
	outcomes   []recovery.Outcome
	// looksTaken is how many looks for deletes the current connection had begun when take was called last.
	looksTaken int
}

// connected is one connection of a session. Its context ends when the connection breaks.
type connected struct {
	Connection

	ctx       context.Context
	interrupt context.CancelCauseFunc
	looks     looks
}

// startSession starts a session that lasts until stop.
func startSession(
	ctx context.Context, key sessionKey, c config, logger *zap.Logger, mayDelete func(context.Context) bool,
) *session {
	ctx, cancel := context.WithCancel(ctx)

	s := &session{
		key:       key,
		config:    c,
		logger:    logger,
		changed:   make(chan struct{}, 1),
		mayDelete: mayDelete,
		cancel:    cancel,
		slots:     make(chan struct{}, parallelDeletes),
		recording: make(chan struct{}, 1),
		inFlight:  map[string]bool{},
	}

	s.work.Go(func() { s.run(ctx) })

	return s
}

// stop ends the session: requests under way are cancelled, and everything it started has ended when stop returns. It
// returns the outcomes that were not taken.
func (s *session) stop() []recovery.Outcome {
	s.cancel()
	s.work.Wait()

	return s.outcomes
}

// take returns what is known now, on the clock on which this boot began at booted. Each outcome is returned once.
func (s *session) take(booted time.Time) (recovery.Link, []recovery.Outcome, map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	outcomes := s.outcomes
	s.outcomes, s.looksTaken = nil, 0

	if s.current != nil {
		s.looksTaken = s.current.looks.count()
	}

	link := s.link
	if !link.SyncedAt.IsZero() && !s.syncedBoot.IsZero() && !booted.IsZero() {
		link.SyncedAt = link.SyncedAt.Add(booted.Sub(s.syncedBoot))
	}

	return link, outcomes, maps.Clone(s.inFlight)
}

// update changes what is known and tells the controller.
func (s *session) update(change func()) {
	defer func() {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}()

	s.mu.Lock()
	defer s.mu.Unlock() // even if change panics

	change()
}

// run connects, and connects again when the connection breaks.
func (s *session) run(ctx context.Context) {
	delay := newDelay()

	for {
		began := time.Now()
		err := s.connect(ctx)

		if ctx.Err() != nil {
			return
		}

		s.fail(kube.Describe(err))

		if time.Since(began) > steadyTime {
			delay = newDelay()
		}

		if !sleep(ctx, delay.Step()) {
			return
		}
	}
}

// fail makes the problem known, and logs it if it is a new one.
func (s *session) fail(problem string) {
	s.update(func() {
		if s.problem != problem {
			s.logger.Warn("cannot use the API server", zap.String("node", s.key.node), zap.String("problem", problem))
		}

		s.problem, s.link = problem, recovery.Link{Error: problem}
	})
}

// connect lives through one connection and returns why it broke.
//
// A panic breaks it as well: machined is the machine's first process, and does not survive one in a goroutine.
func (s *session) connect(ctx context.Context) (err error) {
	defer recoverTo(&err, s.logger)

	connection, err := s.config.connect(s.config.kubeconfigPath)
	if err != nil {
		return err
	}

	ctx, fail := context.WithCancelCause(ctx)
	current := &connected{Connection: connection, ctx: ctx, interrupt: fail}

	defer func() {
		fail(nil)
		s.update(func() { s.current = nil })
		connection.Close()
	}()

	if err := s.awaitRegistration(ctx, connection); err != nil {
		return err
	}

	s.update(func() { s.current = current })

	err = connection.WatchPods(ctx, s.key.node, func(pods []recovery.Pod) {
		s.update(func() {
			if s.link.SyncedAt.IsZero() {
				s.link.SyncedAt, s.syncedBoot = s.config.now().UTC(), s.config.readBoot().Time
			}

			s.problem, s.link.Error, s.link.Pods = "", "", pods
		})
	})
	if err != nil {
		return err
	}

	if cause := context.Cause(ctx); cause != nil {
		return cause
	}

	return errors.New("the watch of the node's pods ended")
}

// awaitRegistration reads the Node until the kubelet has registered it in this boot.
func (s *session) awaitRegistration(ctx context.Context, observer Observer) error {
	delay := newDelay()

	for {
		asked := time.Now()

		node, err := observer.Node(ctx, s.key.node)
		if err != nil {
			return err
		}

		if obstacle, _ := s.nodeObstacle(node); obstacle == recovery.ObstacleNone {
			// An error of the connection before stays until the pods are known; else it would come and go with every try.
			s.update(func() { s.link.Node = node })

			return s.spread(ctx, time.Since(asked))
		}

		s.update(func() { s.problem, s.link = "", recovery.Link{Node: node} })

		if !sleep(ctx, delay.Step()) {
			return context.Cause(ctx)
		}
	}
}

// spread gives an API server time that took so long for an answer.
func (s *session) spread(ctx context.Context, took time.Duration) error {
	if took < busyTime {
		return nil
	}

	delay := rand.N(min(busySpread*took, busyLimit)) //nolint:gosec // it is no secret

	s.logger.Info("the API server is busy", zap.Duration("took", took), zap.Duration("waiting", delay))

	if !sleep(ctx, delay) {
		return context.Cause(ctx)
	}

	return nil
}

// nodeObstacle is what the Node object has against a delete.
func (s *session) nodeObstacle(node recovery.Node) (recovery.Obstacle, string) {
	return recovery.NodeObstacle(s.config.settings, recovery.Boot{ID: s.key.bootID}, s.key.node, node)
}

// readNode reads the Node object again, unless that was done a moment ago.
func (s *session) readNode() {
	s.mu.Lock()
	defer s.mu.Unlock()

	connection := s.current
	if connection == nil || time.Since(s.nodeReadAt) < nodeInterval {
		return
	}

	s.nodeReadAt = time.Now()

	s.work.Go(func() {
		if err := s.updateNode(connection); err != nil {
			connection.interrupt(err)
		}
	})
}

func (s *session) updateNode(connection *connected) (err error) {
	defer recoverTo(&err, s.logger)

	node, err := connection.Node(connection.ctx, s.key.node)
	if err != nil {
		return err
	}

	s.update(func() { s.link.Node = node })

	return nil
}

// recoverTo turns a panic into an error, and logs where it came from.
func recoverTo(err *error, logger *zap.Logger) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
		logger.Error("recovered from a panic", zap.Error(*err), zap.Stack("stack"))
	}
}

// newDelay returns growing delays, spread so that nodes that rebooted together do not ask together.
func newDelay() *wait.Backoff {
	return &wait.Backoff{Duration: pollInterval, Factor: 2, Jitter: 0.2, Steps: 10, Cap: pollLimit}
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/kured"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Kured's times are a sixtieth of what an operator has: of the default of an hour,
// and of five minutes for a drain. With an hour all of it would only be slower. A
// drain must be short against the period: a node that has given up takes the lock
// again at its next look, and those whose looks are in the time of its drain never
// get it.
const (
	kuredPeriod       = time.Minute
	kuredDrainTimeout = 5 * time.Second
	// kuredLead is how long before the worker's look the nodes ask, at most.
	kuredLead = time.Second
	// kuredStart is within which every kured has looked once. It does nothing for
	// 30 to 90 s after its start, and then for half a period to one and a half. The
	// look of the worker is up to a period after that.
	kuredStart = 90*time.Second + 5*kuredPeriod/2 + 30*time.Second
)

// What kured writes, by which it is known what it is about (kured 1.23.0, cmd/kured/main.go).
const (
	lineIdle    = "Reboot not required"
	lineLocked  = "Lock already held: "
	lineRefused = "violate the pod's disruption budget"
)

// kuredSystem is kured, one process beside each node.
type kuredSystem struct {
	program kured.Program
	flags   []string

	fleet *kured.Fleet
	notes *recorder

	mu sync.Mutex
	// looked is when the kured of a node last found that nothing is to be done.
	looked  map[string]time.Time
	changed chan struct{}
}

func newKuredSystem(program kured.Program, flags ...string) *kuredSystem {
	return &kuredSystem{
		program: program, flags: append([]string{"--period=" + kuredPeriod.String()}, flags...),
		looked: map[string]time.Time{}, changed: make(chan struct{}),
	}
}

func (k *kuredSystem) nodeOptions() []lab.NodeOption { return nil }

func (k *kuredSystem) start(ctx context.Context, cluster *lab.Lab, notes *recorder) (err error) {
	k.notes = notes

	if k.fleet, err = kured.Deploy(ctx, cluster, k.program, k.flags, k.heard); err != nil {
		return err
	}

	for _, node := range cluster.Nodes() {
		if err = k.fleet.Start(node, sentinel(node)); err != nil {
			return err
		}
	}

	return nil
}

// booted starts the kured of a node anew, as a kubelet does with its pod.
func (k *kuredSystem) booted(node *lab.Node) error { return k.fleet.Start(node, sentinel(node)) }

func (*kuredSystem) user() string { return kured.Account.User() }

func (k *kuredSystem) close() error {
	if k.fleet == nil {
		return nil
	}

	return k.fleet.Close()
}

// heard takes a line of the kured of a node.
func (k *kuredSystem) heard(node, line string) {
	switch {
	case strings.Contains(line, lineIdle):
		k.mu.Lock()
		k.looked[node] = time.Now()
		close(k.changed)
		k.changed = make(chan struct{})
		k.mu.Unlock()
	case strings.Contains(line, lineLocked):
		_, holder, _ := strings.Cut(line, lineLocked)
		k.notes.waitsFor(node, "LockHeld", "by "+strings.TrimRight(holder, "\""))
	case strings.Contains(line, lineRefused):
		k.notes.waitsFor(node, "EvictionRefused", "by a PodDisruptionBudget")
	}
}

// awaitMoment waits until all are at rest and the worker's is the next to look:
// whose kured looks first takes the lock, and in the story it is the worker.
func (k *kuredSystem) awaitMoment(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, kuredStart, errors.New("kured did not look at every node in time"))
	defer cancel()

	for {
		k.mu.Lock()
		changed, now, soon := k.changed, isNext(worker, k.looked), k.looked[worker].Add(kuredPeriod-kuredLead)
		k.mu.Unlock()

		// Before all have looked, and while another is next, only a look changes anything.
		var moment <-chan time.Time
		if now {
			moment = time.After(time.Until(soon))
		}

		select {
		case <-moment:
			return nil
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("failed to wait for kured: %w", context.Cause(ctx))
		}
	}
}

func (*kuredSystem) moment() string {
	return "every kured has looked once, which takes up to three minutes, and the one of " + worker + " is next"
}

// isNext says whether the node is the one whose last look is the longest ago,
// and so the next to look: all of them look at the same intervals. It is false
// until each has looked.
func isNext(node string, looked map[string]time.Time) bool {
	if len(looked) < len(nodeNames) {
		return false
	}

	return node == slices.MinFunc(nodeNames, func(a, b string) int { return looked[a].Compare(looked[b]) })
}

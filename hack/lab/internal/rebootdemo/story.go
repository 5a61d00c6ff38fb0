// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// worker is the node that cannot go at first.
const worker = "worker-a"

// nodeNames are all nodes, the worker last.
var nodeNames = []string{"control-plane-a", "control-plane-b", "control-plane-c", worker}

// roleOf is what a node is for.
func roleOf(node string) Role {
	if node == worker {
		return RoleWorker
	}

	return RoleControlPlane
}

// system is what coordinates the reboots of a run.
type system interface {
	// nodeOptions are what every node has for it.
	nodeOptions() []lab.NodeOption
	// start starts it on the nodes of the lab. From then on it may note why nodes
	// wait, until it is closed.
	start(ctx context.Context, cluster *lab.Lab, notes *recorder) error
	// awaitMoment waits until the nodes may ask, which is when moment is true.
	awaitMoment(ctx context.Context) error
	moment() string
	// booted is called when a node is there in another boot.
	booted(node *lab.Node) error
	// user is who it is to the API server.
	user() string
	// close ends it. It may be called without a start.
	close() error
}

// limits bound a run.
type limits struct {
	// patience is how long the control planes may take. Then the budget is freed all
	// the same.
	patience time.Duration
	// afterwards is how long what is left may take from then on.
	afterwards time.Duration
}

// epilogue is for how long the nodes are observed once the story is over.
const epilogue = 3 * time.Second

// telling is one telling of the story, on a lab of its own.
type telling struct {
	cluster  *lab.Lab
	system   system
	limits   limits
	progress *show.Progress
	notes    *recorder

	asked, freed, ended time.Time
	// unavailable is how many nodes were at a time, at most.
	unavailable int
}

// tell tells the story on a fresh lab, with what coordinates the reboots there.
func tell(ctx context.Context, system system, limits limits, progress *show.Progress) (run Result, err error) {
	cluster, err := lab.Start(ctx)
	if err != nil {
		return Result{}, err
	}

	t := &telling{cluster: cluster, system: system, limits: limits, progress: progress}

	defer func() {
		if ctx.Err() != nil {
			// What was going on when it was interrupted tells nothing.
			err = errInterrupted
		}

		err = errors.Join(err, t.system.close(), cluster.Close())
	}()

	if err = t.populate(ctx); err != nil {
		return Result{}, err
	}

	if err = t.observe(ctx, t.play); err != nil {
		return Result{}, err
	}

	// What it does at its end counts as well.
	if err = t.system.close(); err != nil {
		return Result{}, err
	}

	records, err := cluster.Audit()
	if err != nil {
		return Result{}, err
	}

	return t.result(records), nil
}

// populate adds the nodes, and what runs on them.
func (t *telling) populate(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, show.BootLimit, fmt.Errorf("the nodes were not whole after %s", show.BootLimit))
	defer cancel()

	nodes := make([]show.Node, 0, len(nodeNames))

	for _, name := range nodeNames {
		options := t.system.nodeOptions()
		if roleOf(name) == RoleControlPlane {
			options = append(options, lab.ControlPlane())
		}

		nodes = append(nodes, show.Node{Name: name, Options: options})
	}

	if err := show.Populate(ctx, t.cluster, nodes, func(name string) { t.progress.Say("adding node %s", name) }); err != nil {
		return err
	}

	if err := t.cluster.WaitReady(ctx); err != nil {
		return err
	}

	// It is what K3s says of its servers, all of which have etcd.
	for _, name := range nodeNames[:len(nodeNames)-1] {
		if err := t.cluster.Node(name).SetCondition(ctx, lab.EtcdVoterCondition, corev1.ConditionTrue, "MemberNotLearner"); err != nil {
			return err
		}
	}

	return t.protect(ctx)
}

// observe records what happens while play runs, and tells the system of every
// boot.
func (t *telling) observe(ctx context.Context, play func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	t.notes, err = record(ctx, t.cluster, newNarration(t.progress))
	if err != nil {
		return err
	}

	defer t.notes.witness.Wait()
	defer cancel()

	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() error {
		defer cancel()

		return play(ctx)
	})
	group.Go(func() error { return t.followBoots(ctx) })

	return group.Wait()
}

// followBoots tells the system of every boot until ctx is done.
func (t *telling) followBoots(ctx context.Context) error {
	known, seen := map[string]string{}, 0

	for {
		var booted []string

		err := t.notes.await(ctx, func(sights []lab.NodeSight) bool {
			for _, sight := range sights[seen:] {
				if known[sight.Node] != "" && known[sight.Node] != sight.BootID {
					booted = append(booted, sight.Node)
				}

				known[sight.Node] = sight.BootID
			}

			seen = len(sights)

			return len(booted) > 0
		})
		if err != nil {
			return nil //nolint:nilerr // the run is over, and play says how
		}

		for _, name := range booted {
			if err := t.system.booted(t.cluster.Node(name)); err != nil {
				return err
			}
		}
	}
}

// play is the story itself.
func (t *telling) play(ctx context.Context) error {
	if err := t.system.start(ctx, t.cluster, t.notes); err != nil {
		return err
	}

	t.progress.Say("waiting until %s", t.system.moment())

	if err := t.system.awaitMoment(ctx); err != nil {
		return err
	}

	if err := t.ask(); err != nil {
		return err
	}

	t.progress.Say("all nodes ask for a reboot; the budget of %s allows no disruption", worker)

	if err := t.awaitDone(ctx, t.limits.patience, nodeNames[:len(nodeNames)-1]); err != nil {
		return err
	}

	t.progress.Say("the budget of %s is freed", worker)

	if err := t.free(ctx); err != nil {
		return err
	}

	if err := t.awaitDone(ctx, t.limits.afterwards, nodeNames); err != nil {
		return err
	}

	// What comes right after the end counts as well.
	select {
	case <-time.After(epilogue):
	case <-ctx.Done():
		return context.Cause(ctx)
	}

	t.ended, t.unavailable = time.Now(), t.notes.witness.MaxUnavailable()

	return nil
}

// sentinel is the file by which a node asks for a reboot. It is gone after a
// boot, as everything in that folder.
func sentinel(node *lab.Node) string { return filepath.Join(node.Root(), "run", "reboot-required") }

// ask makes all nodes ask at the same moment.
func (t *telling) ask() error {
	t.asked = time.Now()

	for _, node := range t.cluster.Nodes() {
		if err := os.WriteFile(sentinel(node), nil, 0o600); err != nil {
			return fmt.Errorf("failed to make node %q ask: %w", node.Name(), err)
		}
	}

	return nil
}

// awaitDone waits until the nodes are rebooted and in service, or the limit is
// over, which is no error.
func (t *telling) awaitDone(ctx context.Context, limit time.Duration, names []string) error {
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	err := t.notes.await(wait, func(sights []lab.NodeSight) bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			stretches := courseOf(name, sights, t.asked, time.Now()).Stretches

			return len(stretches) == 0 || stretches[len(stretches)-1].State != StateDone
		})
	})
	if ctx.Err() != nil {
		return err
	}

	return nil
}

// result is how it went.
func (t *telling) result(records []lab.AuditRecord) Result {
	user := t.system.user()
	result := newResult(t.notes.witness.Nodes(""), t.notes.why(), t.asked, t.freed, t.ended)

	result.Invariants = Invariants{
		MaxUnavailableSeen:    t.unavailable,
		ForeignCordonsRemoved: len(lab.ForeignCordonsRemoved(records, user)),
		DeletesPastBudget:     len(lab.DeletesPastBudget(records, user)),
	}
	result.EvictionsRefused = evictionsRefused(records, user)

	return result
}

// evictionsRefused counts the evictions that a budget did not allow.
func evictionsRefused(records []lab.AuditRecord, user string) int {
	refused := 0

	for _, record := range records {
		if record.User == user && record.Resource == "pods" && record.Subresource == "eviction" && record.Code == http.StatusTooManyRequests {
			refused++
		}
	}

	return refused
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/internal/reboot"
)

var (
	errConflict = errors.New("conflict: the object has changed")
	errNotFound = errors.New("not found")
	errExists   = errors.New("already exists")
	errBudget   = errors.New("the budget does not allow it")
	errLost     = errors.New("no answer")
)

// stored is an object in the API server, or in a cache. Values are replaced and never changed in place, so that a cache may
// share them.
type stored[T any] struct {
	version int
	value   T
}

type table[T any] map[string]stored[T]

// podObject is a pod, the node that it is on, and whether it ends only when somebody lets it.
type podObject struct {
	reboot.Pod

	node string
}

// objects is what the API server has, or what one coordinator knows of it.
type objects struct {
	budgets    table[reboot.Budget]
	policies   table[reboot.Policy]
	nodes      table[reboot.Node]
	reboots    table[reboot.Reboot]
	pods       table[podObject]
	podBudgets table[reboot.PodBudget]
}

func newObjects() objects {
	return objects{
		budgets: table[reboot.Budget]{}, policies: table[reboot.Policy]{}, nodes: table[reboot.Node]{},
		reboots: table[reboot.Reboot]{}, pods: table[podObject]{}, podBudgets: table[reboot.PodBudget]{},
	}
}

// server is the API server: every write is conditional on the version of the object that was read, a NodeReboot with a
// finalizer stays until that is gone, and an eviction obeys the budget. It remembers what the rules of coordinator.md §5
// are about, and who wrote it.
type server struct {
	objects

	now     time.Time
	version int
	uids    int
	story   []string
	broken  []string
	history history
}

// writer is who sends a request, and the facts that it was decided on. A person, a kubelet and an agent have no facts.
type writer struct {
	name  string
	facts *reboot.Facts
	now   time.Time
}

func (s *server) tell(format string, args ...any) {
	s.story = append(s.story, s.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// violate puts on record that a rule does not hold.
func (s *server) violate(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

func (s *server) uid(prefix string) string {
	s.uids++

	return fmt.Sprintf("%s%d", prefix, s.uids)
}

// put stores a value unconditionally, as those do who own a part of an object.
func put[T any](s *server, objects table[T], name string, value T) int {
	s.version++
	objects[name] = stored[T]{version: s.version, value: value}

	return s.version
}

// change changes an object if it still has the version, and returns the new one. Version 0 is for those who own what they
// change.
func change[T any](s *server, objects table[T], name string, version int, apply func(*T)) (stored[T], error) {
	found, ok := objects[name]

	switch {
	case !ok:
		return found, errNotFound
	case version != 0 && found.version != version:
		return found, errConflict
	}

	apply(&found.value)
	put(s, objects, name, found.value)

	return objects[name], nil
}

// writeHolders writes the status of the budget.
func (s *server) writeHolders(by writer, version int, holders map[string]reboot.Holder) (stored[reboot.Budget], error) {
	was := s.budgets[budgetName].value

	written, err := change(s, s.budgets, budgetName, version, func(b *reboot.Budget) { b.Holders = maps.Clone(holders) })
	if err == nil {
		s.history.slotsWritten(s, by, was, written.value)
	}

	return written, err
}

// writeStatus writes the status of a NodeReboot.
func (s *server) writeStatus(by writer, name string, version int, status reboot.Status) (stored[reboot.Reboot], error) {
	was := s.reboots[name].value

	written, err := change(s, s.reboots, name, version, func(r *reboot.Reboot) { r.Status = status })
	if err == nil {
		s.history.statusWritten(s, by, name, was, written.value)
	}

	return written, err
}

// writeFinalizer puts the finalizer on a NodeReboot or takes it off, which ends one that was deleted.
func (s *server) writeFinalizer(name string, version int, has bool) (stored[reboot.Reboot], error) {
	written, err := change(s, s.reboots, name, version, func(r *reboot.Reboot) { r.Finalizer = has })
	if err == nil && written.value.Deleting && !has {
		delete(s.reboots, name)
	}

	return written, err
}

func (s *server) createReboot(name string, r reboot.Reboot) error {
	if _, ok := s.reboots[name]; ok {
		return errExists
	}

	r.UID, r.Created = s.uid("r"), s.now
	put(s, s.reboots, name, r)

	return nil
}

func (s *server) deleteReboot(name string, version int) error {
	if found, ok := s.reboots[name]; ok && !found.value.Finalizer && (version == 0 || version == found.version) {
		delete(s.reboots, name)

		return nil
	}

	_, err := change(s, s.reboots, name, version, func(r *reboot.Reboot) { r.Deleting = true })

	return err
}

// cordon, restore and grant are what a coordinator writes on a Node.
func (s *server) cordon(by writer, name string, version int, mark string) (stored[reboot.Node], error) {
	was := s.nodes[name].value

	written, err := change(s, s.nodes, name, version, func(n *reboot.Node) { n.Unschedulable, n.CordonMark = true, mark })
	if err == nil {
		s.history.cordoned(s, by, name, was)
	}

	return written, err
}

func (s *server) restore(by writer, name string, version int, mark string, uncordons bool) (stored[reboot.Node], error) {
	was := s.nodes[name].value

	written, err := change(s, s.nodes, name, version, func(n *reboot.Node) {
		if uncordons {
			n.Unschedulable = false
		}

		n.CordonMark, n.GrantUID, n.GrantBootID, n.RestoredMark = "", "", "", mark
	})
	if err == nil {
		s.history.restored(s, by, name, was, written.value)
	}

	return written, err
}

func (s *server) grant(by writer, name string, version int, uid, bootID string) (stored[reboot.Node], error) {
	written, err := change(s, s.nodes, name, version, func(n *reboot.Node) { n.GrantUID, n.GrantBootID = uid, bootID })
	if err == nil {
		s.history.granted(s, by, name, uid, bootID)
	}

	return written, err
}

// evict does what the Eviction API does.
func (s *server) evict(uid string) error {
	found, ok := s.pods[uid]
	if !ok {
		return nil
	}

	pod := found.value

	if !pod.Pending && !pod.Finished && pod.DeletedAt.IsZero() && len(pod.Budgets) > 0 {
		if len(pod.Budgets) > 1 {
			return fmt.Errorf("more than one budget: %w", errBudget)
		}

		budget := s.podBudgets[pod.Budgets[0]].value

		if pod.Ready || !budget.AlwaysAllowsUnhealthy && !budget.Healthy {
			if budget.Allowed < 1 || !budget.Current {
				return errBudget
			}

			budget.Allowed--
			put(s, s.podBudgets, pod.Budgets[0], budget)
		}
	}

	return s.endPod(uid)
}

// deletePod deletes a pod without asking a budget.
func (s *server) deletePod(by writer, uid string) error {
	if found, ok := s.pods[uid]; ok {
		s.history.podDeleted(s, by, found.value)
	}

	return s.endPod(uid)
}

// endPod begins the end of a pod. A kubelet has to end it.
func (s *server) endPod(uid string) error {
	_, err := change(s, s.pods, uid, 0, func(p *podObject) {
		if p.DeletedAt.IsZero() {
			p.DeletedAt = s.now
		}
	})
	if errors.Is(err, errNotFound) {
		return nil
	}

	return err
}

// podsOn are the UIDs of the pods on a node.
func (s *server) podsOn(node string) []string {
	var uids []string

	for _, uid := range slices.Sorted(maps.Keys(s.pods)) {
		if s.pods[uid].value.node == node {
			uids = append(uids, uid)
		}
	}

	return uids
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/talos-rebound/rebound/internal/reboot"
)

const budgetName = "default"

// coordinator is one replica. It decides on what it knows, which is never newer than what the API server has and may be
// older, of each object by itself. It believes to be the leader whenever it is let; so there may be several.
type coordinator struct {
	name   string
	server *server
	world  *world
	known  objects
	memory memory
	// requests are what is left of its pass.
	requests []sending
}

// memory is what a crash takes away.
type memory struct {
	evictions map[string]reboot.Eviction
	talos     map[string]reboot.TalosAnswer
}

func newMemory() memory {
	return memory{evictions: map[string]reboot.Eviction{}, talos: map[string]reboot.TalosAnswer{}}
}

// sending is a request that is about to be sent.
type sending struct {
	words string
	// send carries it out in the API server, learn takes the answer in. A request that depends on another one that has
	// failed is not sent.
	send  func() error
	learn func(error)
	needs *bool
}

// learn takes over what the API server has of one object.
func learn[T any](known, all table[T], name string) {
	if found, ok := all[name]; ok {
		known[name] = found
	} else {
		delete(known, name)
	}
}

func learnAll[T any](known, all table[T]) {
	clear(known)
	maps.Copy(known, all)
}

// remember keeps an object as this coordinator has written it.
func remember[T any](known table[T], name string, written stored[T]) {
	if known[name].version < written.version {
		known[name] = written
	}
}

func (c *coordinator) observeAll() {
	learnAll(c.known.budgets, c.server.budgets)
	learnAll(c.known.policies, c.server.policies)
	learnAll(c.known.nodes, c.server.nodes)
	learnAll(c.known.reboots, c.server.reboots)
	learnAll(c.known.pods, c.server.pods)
	learnAll(c.known.podBudgets, c.server.podBudgets)
}

// facts are what it knows, in the words of the core.
func (c *coordinator) facts() reboot.Facts {
	facts := reboot.Facts{
		Nodes: map[string]reboot.Node{}, Reboots: map[string]reboot.Reboot{}, Pods: map[string][]reboot.Pod{},
		PodBudgets: map[string]reboot.PodBudget{}, Evictions: maps.Clone(c.memory.evictions),
		TalosAPI: true, Talos: maps.Clone(c.memory.talos),
	}

	if budget, ok := c.known.budgets[budgetName]; ok {
		facts.Budget = &budget.value
	}

	for _, name := range slices.Sorted(maps.Keys(c.known.policies)) {
		facts.Policies = append(facts.Policies, c.known.policies[name].value)
	}

	for name, node := range c.known.nodes {
		facts.Nodes[name] = node.value
	}

	for name, r := range c.known.reboots {
		facts.Reboots[name] = r.value
	}

	for _, uid := range slices.Sorted(maps.Keys(c.known.pods)) {
		pod := c.known.pods[uid].value
		facts.Pods[pod.node] = append(facts.Pods[pod.node], pod.Pod)
	}

	for name, budget := range c.known.podBudgets {
		facts.PodBudgets[name] = budget.value
	}

	return facts
}

// begin decides, and has the requests of the decision ready. It returns when to look again at the latest.
func (c *coordinator) begin() reboot.Decision {
	facts := c.facts()
	by := writer{name: c.name, facts: &facts, now: c.server.now}
	decision := reboot.Plan(facts, c.server.now)

	c.requests = nil
	c.planBudget(by, &decision)

	for _, name := range slices.Sorted(maps.Keys(decision.Reboots)) {
		c.planReboot(by, name, decision.Reboots[name])
	}

	for _, name := range decision.Strays {
		c.planStray(by, name)
	}

	for _, wish := range decision.Wishes {
		c.planWish(wish)
	}

	for _, name := range decision.Withdrawn {
		version := c.known.reboots[name].version
		c.add("delete NodeReboot "+name, func() error { return c.server.deleteReboot(name, version) }, nil, nil)
	}

	for _, name := range decision.Checks {
		c.add("check the Talos API of "+name, func() error { return nil }, func(error) {
			answer := c.memory.talos[name]
			answer.CheckedAt, answer.CheckProblem = c.server.now, c.world.machines[name].apiProblem()
			c.memory.talos[name] = answer
		}, nil)
	}

	return decision
}

func (c *coordinator) add(words string, send func() error, learn func(error), needs *bool) {
	c.requests = append(c.requests, sending{words: words, send: send, learn: learn, needs: needs})
}

// planBudget writes the slots. Before one is given back whose NodeReboot it does not know, that is read from the API server.
// If it is there, the decision was made without knowing it, and somebody may have got its slot.
func (c *coordinator) planBudget(by writer, decision *reboot.Decision) {
	known, ok := c.known.budgets[budgetName]
	if !ok {
		return
	}

	holders := maps.Clone(decision.Holders)
	went := true

	for name, holder := range known.value.Holders {
		if c.known.reboots[name].value.UID == holder.UID || c.world.without == liveReadOfDroppedHolder {
			continue
		}

		c.add("read NodeReboot "+name, func() error { return nil }, func(error) {
			if c.server.reboots[name].value.UID == holder.UID {
				holders[name] = holder
				went = c.world.without == freshFactsForSlots
			}
		}, nil)
	}

	version := known.version
	if c.world.without == versionOfBudget {
		version = 0
	}

	c.add("write the slots", func() error {
		if reflect.DeepEqual(holders, known.value.Holders) || len(holders)+len(known.value.Holders) == 0 {
			return nil
		}

		written, err := c.server.writeHolders(by, version, holders)
		if err == nil {
			c.server.tell("%s: the slots are held by %v", c.name, describeHolders(holders))
		}

		return c.keep(err, func() { remember(c.known.budgets, budgetName, written) })
	}, nil, &went)
}

func describeHolders(holders map[string]reboot.Holder) []string {
	texts := make([]string, 0, len(holders))
	for _, name := range slices.Sorted(maps.Keys(holders)) {
		texts = append(texts, fmt.Sprintf("%s for %s", name, reboot.Mark(holders[name].UID, holders[name].Attempt)))
	}

	return texts
}

// keep takes over what was written, unless the answer gets lost: send sets that aside until the answer is there.
func (c *coordinator) keep(err error, learn func()) error {
	if err == nil {
		c.world.answer = learn
	}

	return err
}

// planReboot writes the status, then the finalizer, and then does what belongs to the status that was read.
func (c *coordinator) planReboot(by writer, name string, next reboot.Next) {
	known := c.known.reboots[name]
	version := known.version
	went := true

	fail := func(err error) {
		if err != nil {
			went = false
		}
	}

	if !equalStatus(known.value.Status, next.Status) {
		c.add(fmt.Sprintf("write NodeReboot %s: %s", name, describeStatus(&next.Status)), func() error {
			written, err := c.server.writeStatus(by, name, version, next.Status)
			if err == nil && known.value.Status.Phase != next.Status.Phase {
				c.server.tell("%s: NodeReboot %s is %s", c.name, name, describeStatus(&next.Status))
			}

			return c.keep(err, func() {
				version = written.version
				remember(c.known.reboots, name, written)
			})
		}, fail, &went)
	}

	if known.value.Finalizer != next.Finalizer {
		c.add("write the finalizer of NodeReboot "+name, func() error {
			written, err := c.server.writeFinalizer(name, version, next.Finalizer)

			return c.keep(err, func() { remember(c.known.reboots, name, written) })
		}, fail, &went)
	}

	if next.Cordon+next.Restore+next.Grant != "" && c.world.without != liveReadBeforeNode {
		c.add("read NodeReboot "+name, func() error {
			live := c.server.reboots[name].value
			if was := known.value; live.UID != was.UID || live.Status.Attempt != was.Status.Attempt || live.Status.Phase != was.Status.Phase {
				return errConflict
			}

			return nil
		}, fail, &went)
	}

	c.planNode(by, name, next, &went, fail)

	for _, action := range next.Pods {
		c.planPod(by, action, &went)
	}
}

// planNode does what is to be done to the node.
func (c *coordinator) planNode(by writer, name string, next reboot.Next, went *bool, fail func(error)) {
	r := c.known.reboots[name].value

	node, exists := c.known.nodes[name]
	if !exists {
		return
	}

	version := node.version
	if c.world.without == versionOfNode {
		version = 0
	}

	write := func(words string, send func() (stored[reboot.Node], error)) {
		c.add(words, func() error {
			written, err := send()
			if err == nil {
				c.server.tell("%s: %s", c.name, words)
			}

			return c.keep(err, func() { remember(c.known.nodes, name, written) })
		}, fail, went)
	}

	switch {
	case next.Cordon != "":
		write("cordon "+name+" for "+next.Cordon, func() (stored[reboot.Node], error) {
			return c.server.cordon(by, name, version, next.Cordon)
		})
	case next.Restore != "":
		write("restore "+name+" after "+next.Restore, func() (stored[reboot.Node], error) {
			return c.server.restore(by, name, version, next.Restore, node.value.CordonMark != "")
		})
	case next.Grant != "":
		write("grant "+name+" the end of "+next.Grant, func() (stored[reboot.Node], error) {
			return c.server.grant(by, name, version, r.UID, next.Grant)
		})
	}

	if next.CallTalos {
		c.planTalosReboot(name, r, went)
	}
}

// planTalosReboot asks the machine to reboot.
func (c *coordinator) planTalosReboot(name string, r reboot.Reboot, needs *bool) {
	mark := reboot.Mark(r.UID, r.Status.Attempt)

	c.add("ask the Talos API of "+name+" for a reboot", func() error {
		answer := c.memory.talos[name]
		answer.Attempt, answer.AskedAt, answer.Refused, answer.Message = mark, c.server.now, false, ""
		c.memory.talos[name] = answer

		return c.world.callTalos(c.name, name, r.Status.BootID)
	}, func(err error) {
		answer := c.memory.talos[name]
		if err != nil {
			answer.Message = err.Error()
			answer.Refused = err == errRefused //nolint:errorlint // it comes from the machine next door as it is
		}

		c.memory.talos[name] = answer
	}, needs)
}

func (c *coordinator) planPod(by writer, action reboot.PodAction, needs *bool) {
	uid, words := action.Pod.UID, "evict "
	if action.Delete {
		words = "delete "
	}

	words += action.Pod.Name

	c.add(words, func() error {
		if action.Delete {
			c.server.tell("%s: %s", c.name, words)

			return c.server.deletePod(by, uid)
		}

		err := c.server.evict(uid)
		if err == nil {
			c.server.tell("%s: %s", c.name, words)
		}

		return err
	}, func(err error) {
		eviction := c.memory.evictions[uid]
		eviction.Tries++
		eviction.LastAt, eviction.Message = c.server.now, ""

		if err != nil {
			eviction.Message = err.Error()
		}

		c.memory.evictions[uid] = eviction
	}, needs)
}

// planStray restores a node that is in no step, if the API server says so too.
func (c *coordinator) planStray(by writer, name string) {
	node := c.known.nodes[name]
	went := true

	if c.world.without != liveReadOfStray {
		c.add("read NodeReboot "+name, func() error {
			if c.server.reboots[name].value.Status.Phase.Active() {
				return errConflict
			}

			return nil
		}, func(err error) { went = err == nil }, nil)
	}

	c.add("restore the stray "+name, func() error {
		written, err := c.server.restore(by, name, node.version, node.value.CordonMark, node.value.CordonMark != "")
		if err == nil {
			c.server.tell("%s: restore the stray %s", c.name, name)
		}

		return c.keep(err, func() { remember(c.known.nodes, name, written) })
	}, nil, &went)
}

func (c *coordinator) planWish(wish reboot.Wish) {
	if wish.UID == "" {
		c.add("create NodeReboot "+wish.Node, func() error {
			c.server.tell("%s: create NodeReboot %s, as the node wants", c.name, wish.Node)

			return c.server.createReboot(wish.Node, reboot.Reboot{FromNode: true})
		}, nil, nil)

		return
	}

	version := c.known.reboots[wish.Node].version

	c.add("ask anew for NodeReboot "+wish.Node, func() error {
		written, err := change(c.server, c.server.reboots, wish.Node, version, func(r *reboot.Reboot) {
			r.RequestedAt, r.FromNode, r.Priority, r.Force = wish.At, true, nil, false
		})

		return c.keep(err, func() { remember(c.known.reboots, wish.Node, written) })
	}, nil, nil)
}

// outcome is what becomes of a request. The zero value is the usual one.
type outcome int

const (
	arrives outcome = iota
	answerLost
	requestLost
	delayed
)

// send sends the next request.
func (c *coordinator) send(becomes outcome) {
	next := c.requests[0]
	c.requests = c.requests[1:]

	if next.needs != nil && !*next.needs {
		return
	}

	c.world.answer = nil

	var err error

	switch becomes {
	case arrives:
		err = next.send()

		if c.world.answer != nil {
			c.world.answer()
		}
	case answerLost:
		c.server.tell("%s: no answer to: %s", c.name, next.words)

		_ = next.send()
		err = errLost
	case requestLost:
		c.server.tell("%s: lost: %s", c.name, next.words)

		err = errLost
	case delayed:
		c.server.tell("%s: under way: %s", c.name, next.words)

		c.world.underWay = append(c.world.underWay, next)
		err = errLost
	}

	if next.learn != nil {
		next.learn(err)
	}
}

// sendAll sends what is left of its pass.
func (c *coordinator) sendAll() {
	for len(c.requests) > 0 {
		c.send(arrives)
	}
}

// pass decides and sends everything. It returns the decision, and whether anything was written.
func (c *coordinator) pass() (reboot.Decision, bool) {
	before := c.server.version
	decision := c.begin()

	c.sendAll()

	return decision, c.server.version != before
}

// crash takes its memory away. What it knew of the objects is what its successor may know at first.
func (c *coordinator) crash() {
	c.memory, c.requests = newMemory(), nil
}

func describeStatus(status *reboot.Status) string {
	return fmt.Sprintf("%s in attempt %d (%s: %s)", status.Phase, status.Attempt, status.Reason, status.Message)
}

func equalStatus(a, b reboot.Status) bool {
	normal := func(s *reboot.Status) {
		if len(s.BlockedBy) == 0 {
			s.BlockedBy = nil
		}

		if len(s.Steps) == 0 {
			s.Steps = nil
		}

		if len(s.Results) == 0 {
			s.Results = nil
		}
	}

	normal(&a)
	normal(&b)

	return reflect.DeepEqual(a, b)
}

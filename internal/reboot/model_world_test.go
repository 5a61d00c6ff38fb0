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

var errRefused = errors.New("refused")

// rule is something that the coordinator does for safety outside the core. To see that the model notices, it can be left
// out.
type rule string

const (
	nothing                 rule = ""
	versionOfBudget         rule = "slots are taken without comparing the version of the budget"
	versionOfNode           rule = "nodes are written without comparing their version"
	liveReadOfDroppedHolder rule = "slots of unknown NodeReboots are given away without asking the API server"
	freshFactsForSlots      rule = "slots are written although what was decided on turned out to be old"
	liveReadBeforeNode      rule = "nodes are written without asking the API server for the NodeReboot"
	liveReadOfStray         rule = "strays are restored without asking the API server"
	bootOfTalosCall         rule = "the Talos API is asked without saying which boot is meant"
)

// machine is what is behind a Node.
type machine struct {
	name     string
	up       bool
	boots    int
	talos    bool
	wants    bool
	refuses  bool
	unusable bool
	// seen is the grant that the agent knows of, if it was not told yet of another one.
	seenUID, seenBootID string
}

func (m *machine) bootID() string { return fmt.Sprintf("%s-boot%d", m.name, m.boots) }

func (m *machine) apiProblem() string {
	if m.unusable {
		return "connection refused"
	}

	return ""
}

// world is everything.
type world struct {
	*server

	without      rule
	machines     map[string]*machine
	coordinators []*coordinator
	// underWay are requests that arrive later or never.
	underWay []sending
	// answer is what the sender of the present request learns if the answer arrives.
	answer func()
}

var start = time.Date(2026, time.March, 2, 21, 50, 0, 0, time.UTC)

// controlPlanes and workers are the nodes. In a world of few, more happens to each.
var (
	controlPlanes = []string{"c1", "c2"}
	workers       = []string{"w1", "w2"}
)

func newWorld(without rule, coordinators int, nodes ...string) *world {
	w := &world{
		server:   &server{objects: newObjects(), now: start, history: newHistory()},
		without:  without,
		machines: map[string]*machine{},
	}

	for _, name := range nodes {
		w.machines[name] = &machine{name: name, up: true, talos: name == "c2" || name == "w2"}
		w.register(name)
	}

	put(w.server, w.budgets, budgetName, reboot.Budget{MaxUnavailable: 1})

	for _, name := range policyNames {
		put(w.server, w.policies, name, basePolicy(name))
	}

	put(w.server, w.podBudgets, podBudgetName, reboot.PodBudget{Current: true, Healthy: true, Allowed: 1})

	for _, name := range w.names() {
		w.addPod(name)
	}

	for i := range coordinators {
		c := &coordinator{name: fmt.Sprintf("coordinator %d", i+1), server: w.server, world: w, known: newObjects(), memory: newMemory()}
		c.observeAll()

		w.coordinators = append(w.coordinators, c)
	}

	return w
}

const podBudgetName = "shop/web"

// policyNames are the policies that there are: of the two that select a node the first one counts.
var policyNames = []string{"all", "control", "workers"}

func basePolicy(name string) reboot.Policy {
	policy := reboot.Policy{
		Name: name, Precedence: 1, MaxUnavailable: reboot.Limit{Count: 2},
		Drain: reboot.Drain{Timeout: time.Minute}, Timeout: 5 * time.Minute, Settle: 10 * time.Second,
	}

	if name == "all" {
		policy.Precedence = 0
	}

	return policy
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.machines)) }

// register makes the Node of a machine, as its kubelet does.
func (w *world) register(name string) {
	controlPlane := slices.Contains(controlPlanes, name)
	node := reboot.Node{ControlPlane: controlPlane, Policies: []string{"all", "workers"}, Talos: w.machines[name].talos}
	if controlPlane {
		node.Policies[1] = "control"
	}

	put(w.server, w.nodes, name, node)
	delete(w.history.foreign, name)
	w.report(name, true)
}

// report has the kubelet and the agent of a machine that is up say how it is.
func (w *world) report(name string, ready bool) {
	m := w.machines[name]

	_, _ = change(w.server, w.nodes, name, 0, func(n *reboot.Node) {
		n.BootID, n.Ready, n.HeartbeatAt = m.bootID(), ready, w.now
		n.Agent = reboot.Agent{BootID: m.bootID(), Wanted: m.wants}
	})
}

func (w *world) addPod(node string) {
	uid := w.uid("p")

	put(w.server, w.pods, uid, podObject{node: node, Pod: reboot.Pod{
		Namespace: "shop", Name: "web-" + uid, UID: uid, Selected: true, Ready: true, Budgets: []string{podBudgetName},
	}})
}

// goDown ends a boot.
func (w *world) goDown(name, why string) {
	m := w.machines[name]
	m.up, m.wants = false, false
	w.tell("%s goes down: %s", name, why)
}

// comeUp begins the next boot.
func (w *world) comeUp(name string) {
	m := w.machines[name]
	m.up = true
	m.boots++
	w.tell("%s is up in boot %s", name, m.bootID())
	w.report(name, true)
}

// agentActs has the agent look at its Node, or go by what it has seen of it, and reboot if that says so.
func (w *world) agentActs(name string, looks bool) {
	m := w.machines[name]
	if !m.up || m.talos {
		return
	}

	if looks {
		node := w.nodes[name].value
		m.seenUID, m.seenBootID = node.GrantUID, node.GrantBootID
	}

	if m.seenUID != "" && m.seenBootID == m.bootID() {
		w.history.machineRebooted(w.server, name, m.bootID())
		w.goDown(name, "its agent has the grant of "+m.seenUID)
	}
}

// callTalos is the Reboot of a machine's Talos API.
func (w *world) callTalos(by, name, bootID string) error {
	m := w.machines[name]

	switch {
	case !m.up:
		return errLost
	case m.refuses:
		return errRefused
	case w.without != bootOfTalosCall && m.bootID() != bootID:
		return errRefused
	}

	w.history.machineRebooted(w.server, name, m.bootID())
	w.goDown(name, by+" has asked its Talos API")

	return nil
}

// goOn lets everything go on that goes on by itself when nothing is in its way. It tells whether there was something.
func (w *world) goOn() bool {
	busy := false

	for _, name := range w.names() {
		switch m := w.machines[name]; {
		case !m.up:
			w.comeUp(name)

			busy = true
		default:
			w.agentActs(name, true)
			busy = busy || !m.up
		}
	}

	for _, uid := range slices.Sorted(maps.Keys(w.pods)) {
		if !w.pods[uid].value.DeletedAt.IsZero() {
			delete(w.pods, uid)

			busy = true
		}
	}

	if budget := w.podBudgets[podBudgetName].value; budget.Allowed == 0 && budget.Healthy {
		budget.Allowed = 1
		put(w.server, w.podBudgets, podBudgetName, budget)
	}

	return busy
}

// beat has the kubelets say that they live, which they do at least every few minutes.
func (w *world) beat() {
	for _, name := range w.names() {
		if w.machines[name].up {
			w.report(name, w.nodes[name].value.Ready)
		}
	}
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

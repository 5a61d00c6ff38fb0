// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// now is a Monday.
var now = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

type given []func(*reboot.Facts)

// facts are those of a cluster of one node that may reboot: a worker with an agent, whose NodeReboot was made an hour ago.
func facts(all ...func(*reboot.Facts)) reboot.Facts {
	f := reboot.Facts{
		Budget: &reboot.Budget{MaxUnavailable: 1, Holders: map[string]reboot.Holder{}},
		Policies: []reboot.Policy{{
			Name: "all", MaxUnavailable: reboot.Limit{Count: 1}, Drain: reboot.Drain{Timeout: 5 * time.Minute},
			Timeout: 15 * time.Minute, Settle: 30 * time.Second, Cooldown: time.Hour,
		}},
		Nodes: map[string]reboot.Node{"a": worker("a")}, Reboots: map[string]reboot.Reboot{"a": request("a")},
		Pods: map[string][]reboot.Pod{}, PodBudgets: map[string]reboot.PodBudget{}, Evictions: map[string]reboot.Eviction{},
		Talos: map[string]reboot.TalosAnswer{},
	}

	for _, change := range all {
		change(&f)
	}

	return f
}

func worker(name string) reboot.Node {
	return reboot.Node{
		BootID: name + "1", Ready: true, HeartbeatAt: now, Policies: []string{"all"},
		Agent: reboot.Agent{BootID: name + "1"},
	}
}

func request(name string) reboot.Reboot {
	return reboot.Reboot{UID: "u" + name, Created: now.Add(-time.Hour)}
}

// node given a node, and makes it if it is not there.
func node(name string, apply func(*reboot.Node)) func(*reboot.Facts) {
	return func(f *reboot.Facts) {
		n, ok := f.Nodes[name]
		if !ok {
			n = worker(name)
		}

		apply(&n)
		f.Nodes[name] = n
	}
}

// asks given a NodeReboot, and makes it and its node if they are not there.
func asks(name string, apply ...func(*reboot.Reboot)) func(*reboot.Facts) {
	return func(f *reboot.Facts) {
		node(name, func(*reboot.Node) {})(f)

		r, ok := f.Reboots[name]
		if !ok {
			r = request(name)
		}

		for _, change := range apply {
			change(&r)
		}

		f.Reboots[name] = r
	}
}

func controlPlane(name string, apply ...func(*reboot.Node)) func(*reboot.Facts) {
	return node(name, func(n *reboot.Node) {
		n.ControlPlane = true

		for _, change := range apply {
			change(n)
		}
	})
}

func policy(apply func(*reboot.Policy)) func(*reboot.Facts) {
	return func(f *reboot.Facts) { apply(&f.Policies[0]) }
}

func budget(apply func(*reboot.Budget)) func(*reboot.Facts) {
	return func(f *reboot.Facts) { apply(f.Budget) }
}

func noBudget(f *reboot.Facts) { f.Budget = nil }

func noPolicy(f *reboot.Facts) { f.Policies = nil }

func noNode(f *reboot.Facts) { delete(f.Nodes, "a") }

// holds gives the node a slot for its first attempt.
func holds(name string) func(*reboot.Facts) {
	return func(f *reboot.Facts) {
		asks(name)(f)

		f.Budget.Holders[name] = reboot.Holder{
			UID: "u" + name, Attempt: 1, Policy: "all", Since: now.Add(-time.Minute), Step: f.Reboots[name].Status.Phase,
		}
	}
}

// in has the node in a phase of its first attempt since a time ago, as the coordinator would have brought it there.
func in(name string, phase reboot.Phase, ago time.Duration) func(*reboot.Facts) {
	return func(f *reboot.Facts) {
		asks(name, func(r *reboot.Reboot) {
			r.Finalizer = true
			r.Status = reboot.Status{
				Phase: phase, Policy: "all", RequestedAt: r.Created, BootID: name + "1", Attempt: 1,
				Steps: []reboot.Step{{Phase: reboot.PhaseCordoned, At: now.Add(-ago)}},
			}

			if phase != reboot.PhaseCordoned {
				r.Status.Steps = append(r.Status.Steps, reboot.Step{Phase: phase, At: now.Add(-ago)})
			}
		})(f)

		node(name, func(n *reboot.Node) {
			n.Unschedulable, n.CordonMark = true, "u"+name+"/1"

			if phase == reboot.PhaseGranted || phase == reboot.PhaseBack {
				n.GrantUID, n.GrantBootID = "u"+name, name+"1"
			}

			if phase == reboot.PhaseBack {
				n.BootID, n.Agent.BootID = name+"2", name+"2"
			}
		})(f)

		if f.Budget != nil {
			holds(name)(f)
		}
	}
}

// status changes that of the NodeReboot of node a.
func status(apply func(*reboot.Status)) func(*reboot.Facts) {
	return asks("a", func(r *reboot.Reboot) { apply(&r.Status) })
}

func talosAPI(f *reboot.Facts) { f.TalosAPI = true }

// talos is what the Talos API of node a has said.
func talos(answer reboot.TalosAnswer) func(*reboot.Facts) {
	return func(f *reboot.Facts) { f.Talos["a"] = answer }
}

// runs puts pods on node a.
func runs(pods ...reboot.Pod) func(*reboot.Facts) {
	return func(f *reboot.Facts) { f.Pods["a"] = append(f.Pods["a"], pods...) }
}

func pod(name string, apply ...func(*reboot.Pod)) reboot.Pod {
	p := reboot.Pod{Namespace: "shop", Name: name, UID: name, Selected: true, Ready: true}

	for _, change := range apply {
		change(&p)
	}

	return p
}

func guarded(p *reboot.Pod) { p.Budgets = []string{"shop/web"} }

func unready(p *reboot.Pod) { p.Ready = false }

// podBudget is the one of the pods that are guarded.
func podBudget(b reboot.PodBudget) func(*reboot.Facts) {
	return func(f *reboot.Facts) { f.PodBudgets["shop/web"] = b }
}

var (
	closed = podBudget(reboot.PodBudget{Current: true, Healthy: true})
	open   = podBudget(reboot.PodBudget{Current: true, Healthy: true, Allowed: 1})
)

// tried is what is known of the tries to evict pod web.
func tried(eviction reboot.Eviction) func(*reboot.Facts) {
	return func(f *reboot.Facts) { f.Evictions["web"] = eviction }
}

// told puts a decision into words: what comes next for a node, who holds a slot, and what else there is to do. Messages are
// left out.
func told(decision reboot.Decision, name string) string {
	var words []string

	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }

	if next, ok := decision.Reboots[name]; ok {
		add("%s", strings.TrimSpace(string(next.Status.Phase)+" "+string(next.Status.Reason)))

		for _, text := range []struct{ word, value string }{
			{"cordon", next.Cordon}, {"restore", next.Restore}, {"grant", next.Grant},
		} {
			if text.value != "" {
				add("%s %s", text.word, text.value)
			}
		}

		if next.CallTalos {
			add("call")
		}

		for _, action := range next.Pods {
			add("%s %s", describeAction(action), action.Pod.Name)
		}

		if next.Finalizer {
			add("finalizer")
		}
	}

	for _, holder := range slices.Sorted(maps.Keys(decision.Holders)) {
		h := decision.Holders[holder]
		add("slot %s/%d %s", h.UID, h.Attempt, h.Step)
	}

	for _, wish := range decision.Wishes {
		add("wish %s%s", wish.Node, wish.UID)
	}

	for _, list := range []struct {
		word  string
		names []string
	}{
		{"checks", decision.Checks}, {"strays", decision.Strays}, {"withdrawn", decision.Withdrawn},
	} {
		if len(list.names) > 0 {
			add("%s %s", list.word, strings.Join(list.names, " "))
		}
	}

	return strings.Join(words, ", ")
}

func describeAction(action reboot.PodAction) string {
	switch {
	case action.Forced:
		return "force"
	case action.Delete:
		return "delete"
	default:
		return "evict"
	}
}

// again is when it is to be looked again, from now on.
func again(decision reboot.Decision) time.Duration {
	if decision.LookAgain.IsZero() {
		return 0
	}

	return decision.LookAgain.Sub(now)
}

// testPlan is about what a decision comes to for node a.
func testPlan(t *testing.T, all given, want string) reboot.Next {
	t.Helper()

	decision := reboot.Plan(facts(all...), now)
	assert.Equal(t, want, told(decision, "a"))

	return decision.Reboots["a"]
}

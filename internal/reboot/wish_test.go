// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/reboot"
)

func TestAWish(t *testing.T) {
	t.Parallel()

	wants := node("a", func(n *reboot.Node) { n.Agent.Wanted, n.Agent.Reason = true, "a new kernel" })
	none := func(f *reboot.Facts) { delete(f.Reboots, "a") }
	fromNode := asks("a", func(r *reboot.Reboot) { r.FromNode = true })
	newBoot := node("a", func(n *reboot.Node) { n.BootID, n.Agent.BootID = "a2", "a2" })
	done := given{in("a", reboot.PhaseDone, time.Minute), node("a", restored)}

	for _, tc := range []struct {
		name  string
		facts given
		want  string
	}{
		{"becomes a NodeReboot", given{none, wants}, "wish a"},
		{"becomes none if the node has none", given{none}, ""},
		{"of another boot says nothing", given{none, wants, node("a", func(n *reboot.Node) { n.Agent.BootID = "a0" })}, ""},
		{"of a node without a boot says nothing", given{none, wants, node("a", func(n *reboot.Node) { n.BootID, n.Agent.BootID = "", "" })}, ""},
		{"is one that was asked for already", given{wants}, "Pending Next, slot ua/1 Pending"},
		{"in the boot after a reboot is a new one", append(done[:2:2], newBoot, wants), "Done, wish aua"},
		{"in the boot that was ended is the old one", append(done[:2:2], wants), "Done"},
		{
			"is not asked for twice", append(done[:2:2], newBoot, wants, asks("a", func(r *reboot.Reboot) { r.RequestedAt = now })),
			"Pending Next, slot ua/2 Pending",
		},
		{
			"waits until the object before it is gone",
			append(done[:2:2], newBoot, wants, asks("a", func(r *reboot.Reboot) { r.Deleting = true })), "Done",
		},
		{"that is withdrawn takes its NodeReboot along", given{fromNode}, "Pending Withdrawn, withdrawn a"},
		{"of another boot is not withdrawn", given{fromNode, node("a", func(n *reboot.Node) { n.Agent.BootID = "a0" })}, "Pending NoAgent"},
		{"that is withdrawn gives its slot back first", given{fromNode, holds("a")}, "Pending Withdrawn, slot ua/1 Pending"},
		{
			"that is withdrawn brings a node back first",
			given{in("a", reboot.PhaseDrained, 0), fromNode},
			"Restoring Withdrawn, finalizer, slot ua/1 Drained",
		},
		{"that is withdrawn by the reboot itself is fulfilled", append(done[:2:2], newBoot, fromNode), "Done"},
		{"that is withdrawn is deleted once", given{fromNode, asks("a", func(r *reboot.Reboot) { r.Deleting = true })}, "Pending Deleted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			testPlan(t, tc.facts, tc.want)
		})
	}

	assert.Equal(t, []reboot.Wish{{Node: "a", Reason: "a new kernel", At: now}}, reboot.Plan(facts(none, wants), now).Wishes)
}

func TestAStray(t *testing.T) {
	t.Parallel()

	mark := node("a", func(n *reboot.Node) { n.Unschedulable, n.CordonMark = true, "ux/1" })
	grant := node("a", func(n *reboot.Node) { n.GrantUID, n.GrantBootID = "ux", "a1" })
	none := func(f *reboot.Facts) { delete(f.Reboots, "a") }

	testPlan(t, given{none, mark}, "strays a")
	testPlan(t, given{none, grant}, "strays a")
	testPlan(t, given{mark}, "Pending Next, strays a")
	testPlan(t, given{in("a", reboot.PhaseDone, 0)}, "Done, strays a")
	testPlan(t, given{none, node("a", func(n *reboot.Node) { n.Unschedulable = true })}, "")

	for _, phase := range []reboot.Phase{
		reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted, reboot.PhaseBack, reboot.PhaseRestoring,
	} {
		assert.Empty(t, reboot.Plan(facts(in("a", phase, 0), mark), now).Strays)
	}
}

func TestADeletedNodeRebootStaysUntilItsNodeIsGivenBack(t *testing.T) {
	t.Parallel()

	deleted := asks("a", func(r *reboot.Reboot) { r.Deleting = true })

	for phase, want := range map[reboot.Phase]string{
		reboot.PhaseNone:      "Pending Deleted",
		reboot.PhasePending:   "Pending Deleted",
		reboot.PhaseCordoned:  "Restoring Deleted, finalizer, slot ua/1 Cordoned",
		reboot.PhaseDrained:   "Restoring Deleted, finalizer, slot ua/1 Drained",
		reboot.PhaseGranted:   "Granted NotBack, finalizer, slot ua/1 Granted",
		reboot.PhaseBack:      "Back Settling, finalizer, slot ua/1 Back",
		reboot.PhaseRestoring: "Restoring, restore ua/1, finalizer, slot ua/1 Restoring",
		reboot.PhaseDone:      "Done",
	} {
		all := given{in("a", phase, time.Hour), deleted}
		if !phase.Active() {
			all = append(all, node("a", restored))
		}

		testPlan(t, all, want)
	}
}

func TestThePolicyOfANode(t *testing.T) {
	t.Parallel()

	policies := []reboot.Policy{{Name: "b", Precedence: 1}, {Name: "c", Precedence: 2}, {Name: "a", Precedence: 1}, {Name: "d", Precedence: 9}}

	for _, tc := range []struct {
		selects []string
		want    string
	}{
		{[]string{"a", "b", "c"}, "c"}, {[]string{"a", "b"}, "a"}, {[]string{"b"}, "b"}, {[]string{"gone"}, ""}, {nil, ""},
	} {
		policy, ok := reboot.PolicyOf(reboot.Node{Policies: tc.selects}, policies)
		assert.Equal(t, tc.want, policy.Name)
		assert.Equal(t, tc.want != "", ok)
	}
}

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

func voter(status string) func(*reboot.Node) {
	return func(n *reboot.Node) { n.Conditions = map[string]string{"EtcdIsVoter": status} }
}

func etcdPods(all, ready int) func(*reboot.Node) {
	return func(n *reboot.Node) { n.EtcdPods, n.EtcdPodsReady = all, ready }
}

func runsTalos(n *reboot.Node) { n.Talos = true }

func TestAControlPlane(t *testing.T) {
	t.Parallel()

	etcd := func(problem string, ago time.Duration) func(*reboot.Facts) {
		return talos(reboot.TalosAnswer{CheckedAt: now.Add(-ago), EtcdProblem: problem})
	}

	for _, tc := range []struct {
		name    string
		facts   given
		want    string
		message string
	}{
		{"goes while the others are Ready", given{controlPlane("b")}, "Pending Next, slot ua/1 Pending", "it takes a slot"},
		{
			"waits for another one that is not Ready",
			given{controlPlane("b", notReady), atATime(9), ofThePolicy(reboot.Limit{Count: 9})},
			"Pending Quorum", "control plane b is not Ready",
		},
		{
			"does not wait for a worker",
			given{node("b", notReady), atATime(9), ofThePolicy(reboot.Limit{Count: 9})},
			"Pending Next, slot ua/1 Pending", "it takes a slot",
		},
		{
			"waits for another one that is being rebooted, whatever the limits",
			given{controlPlane("b"), in("b", reboot.PhaseBack, 0), atATime(9), ofThePolicy(reboot.Limit{Count: 9})},
			"Pending Quorum, slot ub/1 Back", "control plane b is being rebooted, and there is never a second one",
		},
		{
			"waits for another one that only has a slot",
			given{controlPlane("b"), holds("b"), atATime(9), ofThePolicy(reboot.Limit{Count: 9})},
			"Pending Quorum, slot ub/1 Pending", "control plane b is being rebooted, and there is never a second one",
		},
		{
			"waits for another one that is about to get one",
			given{controlPlane("b"), asks("b", func(r *reboot.Reboot) { r.Priority = new(1) }), atATime(9), ofThePolicy(reboot.Limit{Count: 9})},
			"Pending Quorum, slot ub/1 Pending", "control plane b is being rebooted, and there is never a second one",
		},
		{
			"waits for another one that is being checked",
			given{
				talosAPI, controlPlane("a", runsTalos), etcd("", 0), controlPlane("b", runsTalos), asks("b", func(r *reboot.Reboot) { r.Priority = new(1) }),
				atATime(9), ofThePolicy(reboot.Limit{Count: 9}),
			},
			"Pending Quorum, checks b", "control plane b is being rebooted, and there is never a second one",
		},
		{
			"waits for another one that votes no more",
			given{controlPlane("b", voter("False"))},
			"Pending Quorum", "control plane b is no voting member of etcd",
		},
		{
			"goes if the others vote, whatever their pods",
			given{controlPlane("b", voter("True"), etcdPods(1, 0))},
			"Pending Next, slot ua/1 Pending", "it takes a slot",
		},
		{
			"waits for a pod of etcd that is not Ready",
			given{controlPlane("b", etcdPods(1, 0))},
			"Pending Quorum", "control plane b has a pod of etcd that is not Ready",
		},
		{
			"goes if the pods of etcd are Ready",
			given{controlPlane("b", etcdPods(1, 1))},
			"Pending Next, slot ua/1 Pending", "it takes a slot",
		},
		{
			"asks its Talos API first whether etcd can do without it",
			given{talosAPI, controlPlane("a", runsTalos), controlPlane("b", runsTalos)},
			"Pending Checking, checks a", "asking the Talos API",
		},
		{
			"asks even if an agent is to reboot it",
			given{
				talosAPI, controlPlane("a", runsTalos), controlPlane("b", runsTalos),
				policy(func(p *reboot.Policy) { p.Method = reboot.MethodAgent }),
			},
			"Pending Checking, checks a", "asking the Talos API",
		},
		{
			"asks again when the answer is old",
			given{talosAPI, controlPlane("a", runsTalos), controlPlane("b", runsTalos), etcd("", 30*time.Second)},
			"Pending Checking, checks a", "asking the Talos API",
		},
		{
			"goes on a fresh answer",
			given{talosAPI, controlPlane("a", runsTalos), controlPlane("b", runsTalos), etcd("", 29*time.Second)},
			"Pending Next, slot ua/1 Pending", "it takes a slot",
		},
		{
			"waits for an etcd that is not well",
			given{talosAPI, controlPlane("a", runsTalos), etcd("no leader", time.Second)},
			"Pending Quorum", "etcd cannot do without it: no leader",
		},
		{
			"asks such an etcd again",
			given{talosAPI, controlPlane("a", runsTalos), etcd("no leader", time.Minute)},
			"Pending Quorum, checks a", "etcd cannot do without it: no leader",
		},
		{
			"asks no Talos API without a talosconfig",
			given{controlPlane("b", runsTalos)},
			"Pending Next, slot ua/1 Pending", "it takes a slot",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := reboot.Plan(facts(append(given{controlPlane("a")}, tc.facts...)...), now)
			assert.Equal(t, tc.want, told(decision, "a"))
			assert.Equal(t, tc.message, decision.Reboots["a"].Status.Message)
		})
	}
}

func TestForceStandsAboveTheHealthOfEtcdOnly(t *testing.T) {
	t.Parallel()

	force := asks("a", func(r *reboot.Reboot) { r.Force = true })
	many := given{controlPlane("a"), force, atATime(9), ofThePolicy(reboot.Limit{Count: 9})}

	testPlan(t, append(many, controlPlane("b", notReady)), "Pending Next, slot ua/1 Pending")
	testPlan(t, append(many, controlPlane("b", voter("False"))), "Pending Next, slot ua/1 Pending")

	for _, phase := range []reboot.Phase{
		reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted, reboot.PhaseBack, reboot.PhaseRestoring,
	} {
		testPlan(t, append(many, controlPlane("b"), in("b", phase, 0)), "Pending Quorum, slot ub/1 "+string(phase))
	}
}

func TestAnEtcdThatIsNotWellIsLookedAtAgain(t *testing.T) {
	t.Parallel()

	decision := reboot.Plan(facts(talosAPI, controlPlane("a", runsTalos),
		talos(reboot.TalosAnswer{CheckedAt: now.Add(-10 * time.Second), EtcdProblem: "no leader"})), now)
	assert.Equal(t, 20*time.Second, again(decision))
}

func TestADrainedControlPlaneIsCheckedAgainBeforeItsGrant(t *testing.T) {
	t.Parallel()

	old := talos(reboot.TalosAnswer{CheckedAt: now.Add(-time.Minute)})
	fresh := talos(reboot.TalosAnswer{CheckedAt: now})
	drained := given{talosAPI, in("a", reboot.PhaseDrained, 0), controlPlane("a", runsTalos), controlPlane("b", runsTalos)}

	testPlan(t, append(drained, old), "Drained, finalizer, slot ua/1 Drained, checks a")
	testPlan(t, append(drained, fresh), "Granted Rebooting, finalizer, slot ua/1 Drained")
}

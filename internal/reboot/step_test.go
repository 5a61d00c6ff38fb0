// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func uncordoned(n *reboot.Node) { n.Unschedulable, n.CordonMark = false, "" }

func restored(n *reboot.Node) {
	*n = reboot.Node{BootID: n.BootID, Ready: n.Ready, Policies: n.Policies, Agent: n.Agent, RestoredMark: "ua/1"}
}

func ungranted(n *reboot.Node) { n.GrantUID, n.GrantBootID = "", "" }

func settled(ago time.Duration) func(*reboot.Facts) {
	return status(func(s *reboot.Status) { s.SettledSince = now.Add(-ago) })
}

// TestAStep has every transition of a reboot that is under way, and what is done in it.
func TestAStep(t *testing.T) {
	t.Parallel()

	const minute = time.Minute

	for _, tc := range []struct {
		name  string
		facts given
		want  string
		again time.Duration
	}{
		{
			"Cordoned cordons the node and asks no pod to leave before that",
			given{in("a", reboot.PhaseCordoned, 0), node("a", uncordoned), runs(pod("web"))},
			"Cordoned, cordon ua/1, finalizer, slot ua/1 Cordoned", 0,
		},
		{
			"Cordoned asks the pods to leave once the node is cordoned",
			given{in("a", reboot.PhaseCordoned, 0), runs(pod("web"))},
			"Cordoned Draining, evict web, finalizer, slot ua/1 Cordoned", 5 * minute,
		},
		{
			"Cordoned goes on with a cordon that is somebody else's",
			given{in("a", reboot.PhaseCordoned, 0), node("a", func(n *reboot.Node) { n.CordonMark = "" }), runs(pod("web"))},
			"Cordoned Draining, evict web, finalizer, slot ua/1 Cordoned", 5 * minute,
		},
		{
			"Cordoned ends when the pods have left",
			given{in("a", reboot.PhaseCordoned, minute)},
			"Drained Delayed, finalizer, slot ua/1 Cordoned", 0,
		},
		{
			"Cordoned gives up if somebody uncordons the node",
			given{in("a", reboot.PhaseCordoned, minute), node("a", func(n *reboot.Node) { n.Unschedulable = false })},
			"Restoring CordonLifted, finalizer, slot ua/1 Cordoned", 0,
		},
		{
			"Cordoned gives up when its time is over",
			given{in("a", reboot.PhaseCordoned, 5*minute), runs(pod("web", guarded)), closed},
			"Restoring Blocked, finalizer, slot ua/1 Cordoned", 0,
		},
		{
			"Cordoned waits for the new boot of a node that has rebooted by itself",
			given{in("a", reboot.PhaseCordoned, minute), node("a", func(n *reboot.Node) { n.BootID, n.Agent.BootID = "a2", "a2" })},
			"Back RebootedByItself, finalizer, slot ua/1 Cordoned", 0,
		},
		{
			"Cordoned does so before the agent has reported in that boot",
			given{in("a", reboot.PhaseCordoned, minute), node("a", func(n *reboot.Node) { n.BootID = "a2" })},
			"Back RebootedByItself, finalizer, slot ua/1 Cordoned", 0,
		},
		{
			"Drained grants nothing yet, but says that it will",
			given{in("a", reboot.PhaseDrained, 0)},
			"Granted Rebooting, finalizer, slot ua/1 Drained", 0,
		},
		{
			"Drained waits for the delay",
			given{in("a", reboot.PhaseDrained, 0), policy(func(p *reboot.Policy) { p.Delay = minute })},
			"Drained Delayed, finalizer, slot ua/1 Drained", minute,
		},
		{
			"Drained goes back to pods that have come since",
			given{in("a", reboot.PhaseDrained, 0), runs(pod("web"))},
			"Cordoned, finalizer, slot ua/1 Drained", 0,
		},
		{
			"Drained goes back to Cordoned if a foreign cordon was lifted",
			given{in("a", reboot.PhaseDrained, 0), node("a", uncordoned)},
			"Cordoned, finalizer, slot ua/1 Drained", 0,
		},
		{
			"Drained gives up if somebody uncordons the node",
			given{in("a", reboot.PhaseDrained, 0), node("a", func(n *reboot.Node) { n.Unschedulable = false })},
			"Restoring CordonLifted, finalizer, slot ua/1 Drained", 0,
		},
		{
			"Drained waits for the new boot of a node that has rebooted by itself",
			given{in("a", reboot.PhaseDrained, 0), node("a", func(n *reboot.Node) { n.BootID, n.Agent.BootID = "a2", "a2" })},
			"Back RebootedByItself, finalizer, slot ua/1 Drained", 0,
		},
		{
			"Granted writes the grant",
			given{in("a", reboot.PhaseGranted, 0), node("a", ungranted)},
			"Granted Rebooting, grant a1, finalizer, slot ua/1 Granted", 15 * minute,
		},
		{
			"Granted replaces the grant for another boot",
			given{in("a", reboot.PhaseGranted, 0), node("a", func(n *reboot.Node) { n.GrantBootID = "a0" })},
			"Granted Rebooting, grant a1, finalizer, slot ua/1 Granted", 15 * minute,
		},
		{
			"Granted waits for the reboot",
			given{in("a", reboot.PhaseGranted, 10*minute)},
			"Granted Rebooting, finalizer, slot ua/1 Granted", 5 * minute,
		},
		{
			"Granted keeps the slot of a node that does not reboot",
			given{in("a", reboot.PhaseGranted, 15*minute)},
			"Granted NotBack, finalizer, slot ua/1 Granted", 0,
		},
		{
			"Granted waits on while the node is not Ready",
			given{in("a", reboot.PhaseGranted, minute), node("a", func(n *reboot.Node) { n.Ready = false })},
			"Granted Rebooting, finalizer, slot ua/1 Granted", 14 * minute,
		},
		{
			"Granted ends with the new boot",
			given{in("a", reboot.PhaseGranted, minute), node("a", func(n *reboot.Node) { n.BootID = "a2" })},
			"Back NotReady, finalizer, slot ua/1 Granted", 0,
		},
		{
			"Back begins to watch a node that is whole",
			given{in("a", reboot.PhaseBack, minute)},
			"Back Settling, finalizer, slot ua/1 Back", minute / 2,
		},
		{
			"Back watches on",
			given{in("a", reboot.PhaseBack, minute), settled(10 * time.Second)},
			"Back Settling, finalizer, slot ua/1 Back", 20 * time.Second,
		},
		{
			"Back gives the node back once it has settled",
			given{in("a", reboot.PhaseBack, minute), settled(minute)},
			"Back, restore ua/1, finalizer, slot ua/1 Back", 0,
		},
		{
			"Back restores nothing before it is on record that the node has settled",
			given{in("a", reboot.PhaseBack, minute), policy(func(p *reboot.Policy) { p.Settle = 0 })},
			"Back, finalizer, slot ua/1 Back", 0,
		},
		{
			"Back ends when nothing of it is left on the node",
			given{in("a", reboot.PhaseBack, minute), settled(minute), node("a", restored)},
			"Done Rebooted, finalizer, slot ua/1 Back", 0,
		},
		{
			"Back leaves a foreign cordon, and the mark that it has ended",
			given{in("a", reboot.PhaseBack, minute), settled(minute), node("a", func(n *reboot.Node) { n.CordonMark = "" })},
			"Back, restore ua/1, finalizer, slot ua/1 Back", 0,
		},
		{
			"Back waits for a node that is not Ready, and watches anew after that",
			given{in("a", reboot.PhaseBack, minute), settled(minute), node("a", func(n *reboot.Node) { n.Ready = false })},
			"Back NotReady, finalizer, slot ua/1 Back", 14 * minute,
		},
		{
			"Back waits for the conditions of the policy",
			given{in("a", reboot.PhaseBack, minute), settled(minute), policy(func(p *reboot.Policy) { p.Conditions = map[string]string{"Calm": "True"} })},
			"Back GateClosed, finalizer, slot ua/1 Back", 14 * minute,
		},
		{
			"Back waits until the DaemonSet pods have recovered",
			given{in("a", reboot.PhaseBack, minute), node("a", func(n *reboot.Node) { n.Recovery = reboot.Recovery{BootID: "a2", Message: "2 left"} })},
			"Back NotRecovered, finalizer, slot ua/1 Back", 14 * minute,
		},
		{
			"Back does not count the recovery of another boot",
			given{in("a", reboot.PhaseBack, minute), node("a", func(n *reboot.Node) { n.Recovery = reboot.Recovery{BootID: "a1", Over: true} })},
			"Back NotRecovered, finalizer, slot ua/1 Back", 14 * minute,
		},
		{
			"Back goes on when the DaemonSet pods have recovered",
			given{in("a", reboot.PhaseBack, minute), node("a", func(n *reboot.Node) { n.Recovery = reboot.Recovery{BootID: "a2", Over: true} })},
			"Back Settling, finalizer, slot ua/1 Back", minute / 2,
		},
		{
			"Back keeps the slot of a node that does not get whole",
			given{in("a", reboot.PhaseBack, 15*minute), node("a", func(n *reboot.Node) { n.Ready = false })},
			"Back NotBack, finalizer, slot ua/1 Back", 0,
		},
		{
			"Back goes on by itself when such a node is whole after all",
			given{in("a", reboot.PhaseBack, 15*minute)},
			"Back Settling, finalizer, slot ua/1 Back", minute / 2,
		},
		{
			"Back stays so in yet another boot",
			given{in("a", reboot.PhaseBack, minute), node("a", func(n *reboot.Node) { n.BootID, n.Agent.BootID = "a3", "a3" })},
			"Back Settling, finalizer, slot ua/1 Back", minute / 2,
		},
		{
			"Restoring gives the node back",
			given{in("a", reboot.PhaseRestoring, 0)},
			"Restoring, restore ua/1, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Restoring removes what another attempt has left too",
			given{in("a", reboot.PhaseRestoring, 0), node("a", func(n *reboot.Node) { n.CordonMark, n.GrantUID = "ua/0", "ux" })},
			"Restoring, restore ua/1, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Restoring removes a cordon that has come after its mark",
			given{in("a", reboot.PhaseRestoring, 0), node("a", func(n *reboot.Node) { n.RestoredMark = "ua/1" })},
			"Restoring, restore ua/1, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Restoring removes a grant that has come after its mark",
			given{in("a", reboot.PhaseRestoring, 0), node("a", restored), node("a", func(n *reboot.Node) { n.GrantUID, n.GrantBootID = "ux", "a1" })},
			"Restoring, restore ua/1, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Restoring ends when nothing is left on the node, and keeps the slot until that is on record",
			given{in("a", reboot.PhaseRestoring, 0), node("a", restored)},
			"Pending, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Restoring leaves its mark even if it has found nothing, or a late cordon would succeed",
			given{in("a", reboot.PhaseRestoring, 0), node("a", uncordoned)},
			"Restoring, restore ua/1, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Restoring ends without the node",
			given{in("a", reboot.PhaseRestoring, 0), noNode},
			"Pending, finalizer, slot ua/1 Restoring", 0,
		},
		{
			"Done gives the slot back and the finalizer",
			given{in("a", reboot.PhaseDone, 0), node("a", restored)},
			"Done", 0,
		},
		{
			"Done is asked for anew and waits for the cooldown",
			given{
				in("a", reboot.PhaseDone, 0), node("a", restored), asks("a", func(r *reboot.Reboot) { r.RequestedAt = now }),
				status(func(s *reboot.Status) { s.Results = []reboot.Result{{Rebooted: true, FinishedAt: now}} }),
			},
			"Pending Cooldown", time.Hour,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := reboot.Plan(facts(tc.facts...), now)
			assert.Equal(t, tc.want, told(decision, "a"))
			assert.Equal(t, tc.again, again(decision))
		})
	}
}

// TestUntilItIsGranted has what brings a node back that is being prepared. That the step Granted is on record makes no
// difference before the grant is on the node: whoever wrote the step may have died.
func TestUntilItIsGranted(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		facts  given
		reason reboot.Reason
	}{
		{"a node that is gone brings it back", given{noNode}, reboot.ReasonNodeMissing},
		{"a deleted NodeReboot brings it back", given{asks("a", func(r *reboot.Reboot) { r.Deleting = true })}, reboot.ReasonDeleted},
		{"a suspended NodeReboot brings it back", given{asks("a", func(r *reboot.Reboot) { r.Suspend = true })}, reboot.ReasonSuspended},
		{"a wish that is withdrawn brings it back", given{asks("a", func(r *reboot.Reboot) { r.FromNode = true })}, reboot.ReasonWithdrawn},
		{"a budget that is gone brings it back", given{noBudget}, reboot.ReasonNoBudget},
		{"a budget that is paused brings it back", given{budget(func(b *reboot.Budget) { b.Paused = true })}, reboot.ReasonPaused},
		{"a policy that is gone brings it back", given{noPolicy}, reboot.ReasonNoPolicy},
		{"a policy that is wrong brings it back", given{policy(func(p *reboot.Policy) { p.Error = "wrong" })}, reboot.ReasonPolicyInvalid},
		{"a node that is taken away is brought back", given{node("a", func(n *reboot.Node) { n.Leaving = "x" })}, reboot.ReasonNodeLeaving},
		{"a node that is kept is brought back", given{node("a", func(n *reboot.Node) { n.Kept = "x" })}, reboot.ReasonDoNotDisrupt},
		{"an agent that is gone brings it back", given{node("a", func(n *reboot.Node) { n.Agent = reboot.Agent{} })}, reboot.ReasonNoAgent},
		{"a talosconfig that is gone brings it back", given{policy(func(p *reboot.Policy) { p.Method = reboot.MethodTalosAPI })}, reboot.ReasonNoTalosAPI},
		{"a later time brings it back", given{asks("a", func(r *reboot.Reboot) { r.NotBefore = now.Add(1) })}, reboot.ReasonNotBefore},
		{
			"the end of the window brings it back",
			given{policy(func(p *reboot.Policy) { p.Windows = []reboot.Window{{Start: 11 * 60, End: 12 * 60}} })},
			reboot.ReasonOutsideWindow,
		},
		{
			"a gate that closes brings it back",
			given{policy(func(p *reboot.Policy) { p.Conditions = map[string]string{"Calm": "True"} })},
			reboot.ReasonGateClosed,
		},
		{
			"another control plane that fails brings it back",
			given{controlPlane("a"), controlPlane("b", func(n *reboot.Node) { n.Ready = false })},
			reboot.ReasonQuorum,
		},
	} {
		for _, phase := range []reboot.Phase{reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted} {
			t.Run(tc.name+" from "+string(phase), func(t *testing.T) {
				t.Parallel()

				f := facts(append(given{in("a", phase, 0), node("a", ungranted)}, tc.facts...)...)
				next := reboot.Plan(f, now).Reboots["a"]
				assert.Equal(t, reboot.PhaseRestoring, next.Status.Phase)
				assert.Equal(t, tc.reason, next.Status.Reason)
				assert.Empty(t, next.Cordon+next.Grant)
				assert.Empty(t, next.Pods)
				assert.False(t, next.CallTalos)
				assert.True(t, next.Finalizer)
			})
		}

		for _, phase := range []reboot.Phase{reboot.PhaseGranted, reboot.PhaseBack} {
			if tc.reason == reboot.ReasonNodeMissing {
				continue
			}

			t.Run(tc.name+" no more from "+string(phase)+" with the grant", func(t *testing.T) {
				t.Parallel()

				next := reboot.Plan(facts(append(given{in("a", phase, 0)}, tc.facts...)...), now).Reboots["a"]
				assert.Equal(t, phase, next.Status.Phase)
			})
		}

		t.Run(tc.name+" and does not keep it from that", func(t *testing.T) {
			t.Parallel()

			f := facts(append(given{in("a", reboot.PhaseRestoring, 0)}, tc.facts...)...)
			next := reboot.Plan(f, now).Reboots["a"]
			_, exists := f.Nodes["a"]
			assert.Equal(t, exists, next.Restore == "ua/1")
			assert.Equal(t, exists, next.Status.Phase == reboot.PhaseRestoring)
		})
	}
}

func TestANodeThatBreaksWhileItIsWatchedIsWatchedAnew(t *testing.T) {
	t.Parallel()

	next := testPlan(t, given{in("a", reboot.PhaseBack, time.Minute), settled(20 * time.Second), node("a", notReady)},
		"Back NotReady, finalizer, slot ua/1 Back")
	assert.True(t, next.Status.SettledSince.IsZero())
}

func TestAGrantThatWasWrittenAfterItWasGivenUpStands(t *testing.T) {
	t.Parallel()

	granted := node("a", func(n *reboot.Node) { n.GrantUID, n.GrantBootID = "ua", "a1" })

	testPlan(t, given{in("a", reboot.PhaseRestoring, 0), status(func(s *reboot.Status) { s.Reason = reboot.ReasonPaused }), granted},
		"Granted Rebooting, finalizer, slot ua/1 Restoring")
	// The machine has said no: nothing will come of it.
	testPlan(t, given{in("a", reboot.PhaseRestoring, 0), status(func(s *reboot.Status) { s.Reason = reboot.ReasonBlocked }), granted},
		"Restoring Blocked, restore ua/1, finalizer, slot ua/1 Restoring")
}

func TestANodeThatChangesItsPolicyIsBroughtBack(t *testing.T) {
	t.Parallel()

	other := func(f *reboot.Facts) {
		f.Policies = append(f.Policies, reboot.Policy{Name: "other", Precedence: 1, Drain: reboot.Drain{Timeout: time.Minute}})
	}
	selects := node("a", func(n *reboot.Node) { n.Policies = []string{"all", "other"} })

	for _, phase := range []reboot.Phase{reboot.PhaseCordoned, reboot.PhaseDrained} {
		next := testPlan(t, given{in("a", phase, 0), other, selects}, "Restoring PolicyChanged, finalizer, slot ua/1 "+string(phase))
		assert.Equal(t, "the node has changed from RebootPolicy all to other", next.Status.Message)
	}

	// From there on there is nothing to bring back.
	testPlan(t, given{in("a", reboot.PhaseGranted, 0), other, selects}, "Granted NotBack, finalizer, slot ua/1 Granted")
	testPlan(t, given{in("a", reboot.PhaseBack, 0), settled(time.Minute), other, selects},
		"Back, restore ua/1, finalizer, slot ua/1 Back")
}

func TestANodeThatIsGoneIsWaitedForNoMore(t *testing.T) {
	t.Parallel()

	for _, phase := range []reboot.Phase{reboot.PhaseGranted, reboot.PhaseBack} {
		testPlan(t, given{in("a", phase, 0), noNode}, "Restoring NodeMissing, finalizer, slot ua/1 "+string(phase))
	}
}

func TestAnAgentThatCannotRebootIsHeard(t *testing.T) {
	t.Parallel()

	problem := node("a", func(n *reboot.Node) { n.Agent.Problem = "no permission" })
	next := testPlan(t, given{in("a", reboot.PhaseGranted, 0), problem}, "Granted Rebooting, finalizer, slot ua/1 Granted")
	assert.Equal(t, "the agent cannot reboot the node: no permission", next.Status.Message)

	next = testPlan(t, given{in("a", reboot.PhaseGranted, time.Hour), problem}, "Granted NotBack, finalizer, slot ua/1 Granted")
	assert.Equal(t, "the node is not back after 15m0s: the agent cannot reboot the node: no permission", next.Status.Message)
}

// TestAReportThatNeverComesIsExplained is for a node that has rebound no more, but what it has said last.
func TestAReportThatNeverComesIsExplained(t *testing.T) {
	t.Parallel()

	next := reboot.Plan(facts(in("a", reboot.PhaseBack, time.Minute), node("a", func(n *reboot.Node) { n.Recovery.BootID = "a1" })), now)
	assert.Equal(t, reboot.ReasonNotRecovered, next.Reboots["a"].Status.Reason)
	assert.Contains(t, next.Reboots["a"].Status.Message, "take the annotation "+specs.NodeAnnotation+" off the Node")
}

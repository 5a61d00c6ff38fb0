// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// publish returns the facts as they are once what a decision has to write is written, and nothing else has happened.
func publish(f reboot.Facts, decision reboot.Decision) reboot.Facts {
	f.Reboots = maps.Clone(f.Reboots)

	for name, next := range decision.Reboots {
		r := f.Reboots[name]
		r.Status, r.Finalizer = next.Status, next.Finalizer
		f.Reboots[name] = r

		if r.Deleting && !r.Finalizer {
			delete(f.Reboots, name)
		}
	}

	if f.Budget != nil {
		budget := *f.Budget
		budget.Holders = decision.Holders
		f.Budget = &budget
	}

	return f
}

// anyFacts are facts of any kind, also such as no coordinator would come to.
func anyFacts() *rapid.Generator[reboot.Facts] {
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	mark := rapid.SampledFrom([]string{"", "ua/1", "ub/1", "ux/7", "?"})
	boot := rapid.SampledFrom([]string{"", "1", "2"})
	ago := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, time.Hour, -time.Minute})
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}

		return now.Add(-ago.Draw(t, "ago"))
	})
	phase := rapid.SampledFrom([]reboot.Phase{
		reboot.PhaseNone, reboot.PhasePending, reboot.PhaseCordoned, reboot.PhaseDrained, reboot.PhaseGranted, reboot.PhaseBack,
		reboot.PhaseRestoring, reboot.PhaseDone, "?",
	})
	duration := rapid.SampledFrom([]time.Duration{0, time.Minute, 5 * time.Minute, -time.Hour})
	flag := rapid.Bool()
	few := rapid.IntRange(-1, 3)

	policy := rapid.Custom(func(t *rapid.T) reboot.Policy {
		p := reboot.Policy{
			Name: name.Draw(t, "policy"), Precedence: few.Draw(t, "precedence"), Priority: few.Draw(t, "priority"),
			MaxUnavailable: reboot.Limit{Count: few.Draw(t, "count"), Percent: rapid.SampledFrom([]int{0, 50, 1000}).Draw(t, "percent")},
			Drain:          reboot.Drain{Timeout: duration.Draw(t, "timeout"), OnBlocked: reboot.OnBlocked(few.Draw(t, "on blocked"))},
			Method:         reboot.Method(few.Draw(t, "method")), Delay: duration.Draw(t, "delay"), Timeout: duration.Draw(t, "timeout"),
			Settle: duration.Draw(t, "settle"), Cooldown: duration.Draw(t, "cooldown"),
			Error: rapid.SampledFrom([]string{"", "", "wrong"}).Draw(t, "error"),
		}

		if flag.Draw(t, "force after") {
			p.Drain.ForceAfter, p.Drain.SkipDeletingAfter = new(duration.Draw(t, "after")), new(duration.Draw(t, "skip"))
		}

		if few.Draw(t, "windows") == 3 {
			start := reboot.TimeOfDay(rapid.IntRange(0, 1439).Draw(t, "start"))
			p.Windows = []reboot.Window{{Start: start, End: reboot.TimeOfDay(rapid.IntRange(0, 1439).Draw(t, "end"))}}
		}

		if few.Draw(t, "conditions") == 3 {
			p.Conditions = map[string]string{"Calm": "True"}
		}

		return p
	})

	node := rapid.Custom(func(t *rapid.T) reboot.Node {
		return reboot.Node{
			BootID: boot.Draw(t, "boot"), HeartbeatAt: at.Draw(t, "heartbeat"), Ready: flag.Draw(t, "ready"), Unschedulable: flag.Draw(t, "cordoned"),
			CordonMark: mark.Draw(t, "mark"), RestoredMark: mark.Draw(t, "restored"), GrantUID: rapid.SampledFrom([]string{"", "ua", "unknown"}).Draw(t, "grant"),
			GrantBootID: boot.Draw(t, "granted"), ControlPlane: flag.Draw(t, "control plane"), Talos: flag.Draw(t, "talos"),
			Policies: rapid.SliceOfN(name, 0, 2).Draw(t, "policies"),
			Agent:    reboot.Agent{BootID: boot.Draw(t, "agent"), Wanted: flag.Draw(t, "wanted")},
			Recovery: reboot.Recovery{BootID: boot.Draw(t, "recovery"), Over: flag.Draw(t, "over")},
			EtcdPods: few.Draw(t, "etcd"), EtcdPodsReady: few.Draw(t, "etcd ready"),
		}
	})

	object := rapid.Custom(func(t *rapid.T) reboot.Reboot {
		r := reboot.Reboot{
			UID: rapid.SampledFrom([]string{"ua", "ub", ""}).Draw(t, "uid"), Created: now.Add(-time.Hour),
			Deleting: few.Draw(t, "deleting") == 3, Finalizer: flag.Draw(t, "finalizer"), FromNode: flag.Draw(t, "from node"),
			NotBefore: at.Draw(t, "not before"), Suspend: few.Draw(t, "suspend") == 3, Force: flag.Draw(t, "force"), RequestedAt: at.Draw(t, "requested"),
			Status: reboot.Status{
				Phase: phase.Draw(t, "phase"), Policy: name.Draw(t, "policy"), RequestedAt: at.Draw(t, "about"), BootID: boot.Draw(t, "boot"),
				Attempt: few.Draw(t, "attempt"), FailedAttempts: rapid.IntRange(-1, 1<<40).Draw(t, "failed"), NextAttemptAt: at.Draw(t, "next"),
				SettledSince: at.Draw(t, "settled"),
			},
		}

		for _, p := range rapid.SliceOfN(phase, 0, 4).Draw(t, "steps") {
			r.Status.Steps = append(r.Status.Steps, reboot.Step{Phase: p, At: at.Draw(t, "at")})
		}

		if flag.Draw(t, "rebooted") {
			r.Status.Results = []reboot.Result{{Rebooted: true, FinishedAt: at.Draw(t, "finished")}}
		}

		return r
	})

	pods := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) reboot.Pod {
		return reboot.Pod{
			Namespace: "shop", Name: name.Draw(t, "pod"), UID: name.Draw(t, "uid"), DaemonSet: few.Draw(t, "ds") == 3, Mirror: few.Draw(t, "mirror") == 3,
			Selected: flag.Draw(t, "selected"), Finished: flag.Draw(t, "finished"), Pending: flag.Draw(t, "pending"), Ready: flag.Draw(t, "ready"),
			DeletedAt: at.Draw(t, "deleted"), Budgets: rapid.SliceOfN(rapid.SampledFrom([]string{"shop/web", "shop/gone"}), 0, 2).Draw(t, "budgets"),
		}
	}), 0, 3, func(p reboot.Pod) string { return p.Name })

	return rapid.Custom(func(t *rapid.T) reboot.Facts {
		f := reboot.Facts{
			Policies: rapid.SliceOfNDistinct(policy, 0, 3, func(p reboot.Policy) string { return p.Name }).Draw(t, "policies"),
			Nodes:    rapid.MapOfN(name, node, 0, 3).Draw(t, "nodes"),
			Reboots:  rapid.MapOfN(name, object, 0, 3).Draw(t, "reboots"),
			Pods:     rapid.MapOfN(name, pods, 0, 3).Draw(t, "pods"),
			PodBudgets: map[string]reboot.PodBudget{"shop/web": {
				Allowed: few.Draw(t, "allowed"), Current: flag.Draw(t, "current"), Healthy: flag.Draw(t, "healthy"),
			}},
			TalosAPI: flag.Draw(t, "talosconfig"),
			Talos: rapid.MapOfN(name, rapid.Custom(func(t *rapid.T) reboot.TalosAnswer {
				return reboot.TalosAnswer{
					CheckedAt: at.Draw(t, "checked"), CheckProblem: rapid.SampledFrom([]string{"", "no"}).Draw(t, "problem"),
					EtcdProblem: rapid.SampledFrom([]string{"", "no"}).Draw(t, "etcd"), Attempt: mark.Draw(t, "attempt"), AskedAt: at.Draw(t, "asked"),
					InFlight: flag.Draw(t, "in flight"), Refused: flag.Draw(t, "refused"), Unsent: flag.Draw(t, "unsent"),
					AskedBefore: flag.Draw(t, "asked before"),
				}
			}), 0, 3).Draw(t, "talos"),
			Evictions: rapid.MapOfN(name, rapid.Custom(func(t *rapid.T) reboot.Eviction {
				return reboot.Eviction{Tries: few.Draw(t, "tries"), LastAt: at.Draw(t, "last"), InFlight: flag.Draw(t, "in flight")}
			}), 0, 3).Draw(t, "evictions"),
		}

		if few.Draw(t, "budget") >= 0 {
			f.Budget = &reboot.Budget{
				MaxUnavailable: few.Draw(t, "limit"), Paused: few.Draw(t, "paused") == 3,
				Holders: rapid.MapOfN(name, rapid.Custom(func(t *rapid.T) reboot.Holder {
					return reboot.Holder{UID: rapid.SampledFrom([]string{"ua", "ub", "uc"}).Draw(t, "uid"), Attempt: few.Draw(t, "attempt"), Policy: name.Draw(t, "policy")}
				}), 0, 3).Draw(t, "holders"),
			}
		}

		return f
	})
}

// TestPlanComesToRestOnAnyFacts publishes decisions until nothing is left to write, though nothing else happens. A status
// that changes for ever would be written for ever. Nothing in the facts is changed by that, and nothing panics.
func TestPlanComesToRestOnAnyFacts(t *testing.T) {
	t.Parallel()

	rapid.Check(t, comesToRest)
}

func FuzzPlan(f *testing.F) { f.Fuzz(rapid.MakeFuzz(comesToRest)) }

func comesToRest(t *rapid.T) {
	f := anyFacts().Draw(t, "facts")

	for range 20 {
		decision := reboot.Plan(f, now)
		if isPublished(&f, &decision) {
			return
		}

		f = publish(f, decision)
	}

	decision := reboot.Plan(f, now)
	t.Fatalf("there is always something to write: %q, %q, %q", told(decision, "a"), told(decision, "b"), told(decision, "c"))
}

func TestPlanIsAFunction(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts().Draw(t, "facts")
		first := reboot.Plan(f, now)

		// Not even the order in which the policies are listed counts.
		slices.Reverse(f.Policies)

		if second := reboot.Plan(f, now.Add(time.Second-1)); !equalDecision(first, second) {
			t.Fatalf("%#v, and then %#v", first, second)
		}
	})
}

func isPublished(f *reboot.Facts, decision *reboot.Decision) bool {
	for name, next := range decision.Reboots {
		if r := f.Reboots[name]; !equalStatus(r.Status, next.Status) || r.Finalizer != next.Finalizer {
			return false
		}
	}

	return f.Budget == nil || maps.Equal(f.Budget.Holders, decision.Holders)
}

func equalDecision(a, b reboot.Decision) bool {
	for _, name := range []string{"a", "b", "c"} {
		if told(a, name) != told(b, name) || !equalStatus(a.Reboots[name].Status, b.Reboots[name].Status) {
			return false
		}
	}

	return slices.Equal(a.Queue, b.Queue) && a.LookAgain.Equal(b.LookAgain) && maps.Equal(a.Holders, b.Holders)
}

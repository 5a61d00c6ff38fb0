// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// TestPreflight compares what is said before a drain with what the Eviction API would do (Kubernetes v1.36.3,
// pkg/registry/core/pod/storage/eviction.go). Two things are left to the eviction itself: the API server answers 403, and not
// 429, if a budget allows less than nothing, and it refuses every eviction as long as more than 2000 of one budget have not
// been confirmed. Of several pods behind one budget each is looked at by itself: that it allows one disruption is enough to
// begin, and the drain has until its timeout for the others.
func TestPreflight(t *testing.T) {
	t.Parallel()

	const (
		none     = ""
		noMore   = "PodDisruptionBudget shop/web allows no disruption now"
		outdated = "PodDisruptionBudget shop/web was not computed yet by kube-controller-manager"
		several  = "PodDisruptionBudgets shop/db, shop/web select it at the same time, so the API server does not evict it"
	)

	both := func(p *reboot.Pod) { p.Budgets = []string{"shop/db", "shop/web"} }

	for _, tc := range []struct {
		name   string
		pod    func(*reboot.Pod)
		budget reboot.PodBudget
		want   string
	}{
		{"allows what no budget selects", func(p *reboot.Pod) { p.Budgets = nil }, reboot.PodBudget{}, none},
		{"allows what the budget allows", func(*reboot.Pod) {}, reboot.PodBudget{Current: true, Allowed: 1}, none},
		{"holds what the budget holds", func(*reboot.Pod) {}, reboot.PodBudget{Current: true}, noMore},
		{"holds if less than nothing is allowed", func(*reboot.Pod) {}, reboot.PodBudget{Current: true, Allowed: -1}, noMore},
		{"does not trust old numbers", func(*reboot.Pod) {}, reboot.PodBudget{Allowed: 1}, outdated},
		{"holds what two budgets select, whatever they allow", both, reboot.PodBudget{Current: true, Allowed: 5}, several},
		{"allows what has not started", func(p *reboot.Pod) { p.Pending = true }, reboot.PodBudget{Current: true}, none},
		{"allows what has not started, with two budgets", func(p *reboot.Pod) { both(p); p.Pending = true }, reboot.PodBudget{}, none},
		{"allows what is being deleted", func(p *reboot.Pod) { p.DeletedAt = now }, reboot.PodBudget{Current: true}, none},
		{"holds what is not Ready, by default", unready, reboot.PodBudget{Current: true}, noMore},
		{"allows what is not Ready while the others suffice", unready, reboot.PodBudget{Current: true, Healthy: true}, none},
		{"allows what is not Ready if the budget always does", unready, reboot.PodBudget{Current: true, AlwaysAllowsUnhealthy: true}, none},
		{"allows what is not Ready if a disruption is left", unready, reboot.PodBudget{Current: true, Allowed: 1}, none},
		{"holds what is Ready though the others suffice", func(*reboot.Pod) {}, reboot.PodBudget{Current: true, Healthy: true}, noMore},
		{
			"holds what is Ready though the unhealthy may always go", func(*reboot.Pod) {},
			reboot.PodBudget{Current: true, AlwaysAllowsUnhealthy: true},
			noMore,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			next := reboot.Plan(facts(runs(pod("web", guarded, tc.pod)), podBudget(tc.budget)), now).Reboots["a"]

			if tc.want == none {
				assert.Equal(t, reboot.ReasonNext, next.Status.Reason)

				return
			}

			assert.Equal(t, reboot.ReasonBlocked, next.Status.Reason)
			assert.Len(t, next.Status.BlockedBy, 1)
			assert.Equal(t, tc.want, next.Status.BlockedBy[0].Message)
			assert.Equal(t, "pod shop/web: "+tc.want, next.Status.Message)
		})
	}
}

func TestPreflightDoesNotLookAt(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]func(*reboot.Pod){
		"pods of DaemonSets":           func(p *reboot.Pod) { p.DaemonSet = true },
		"static pods":                  func(p *reboot.Pod) { p.Mirror = true },
		"finished pods":                func(p *reboot.Pod) { p.Finished = true },
		"pods that need not leave":     func(p *reboot.Pod) { p.Selected = false },
		"pods that are waited no more": func(p *reboot.Pod) { p.DeletedAt = now.Add(-time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			testPlan(t, given{
				runs(pod("web", guarded, change)), closed, policy(func(p *reboot.Policy) { p.Drain.SkipDeletingAfter = new(time.Minute) }),
			}, "Pending Next, slot ua/1 Pending")
		})
	}
}

func TestPreflightNamesTenPodsAndSaysThree(t *testing.T) {
	t.Parallel()

	all := make(given, 0, 13)
	for i := range 12 {
		all = append(all, runs(pod(fmt.Sprintf("web-%02d", 11-i), guarded)))
	}

	next := testPlan(t, append(all, closed), "Pending Blocked")
	assert.Len(t, next.Status.BlockedBy, 10)
	assert.Equal(t, "web-00", next.Status.BlockedBy[0].Name)
	assert.Contains(t, next.Status.Message, "pod shop/web-02: PodDisruptionBudget shop/web allows no disruption now; and 9 more")
}

func TestABudgetThatIsFreedIsUsedAtOnce(t *testing.T) {
	t.Parallel()

	f := facts(runs(pod("web", guarded)), closed)
	f = publish(f, reboot.Plan(f, now))
	open(&f)

	testPlan(t, given{func(all *reboot.Facts) { *all = f }}, "Pending Next, slot ua/1 Pending")
}

func TestADrain(t *testing.T) {
	t.Parallel()

	const (
		cordoned = "Cordoned Draining, "
		rest     = "finalizer, slot ua/1 Cordoned"
		drained  = "Drained Delayed, " + rest
	)

	failed := func(tries int, ago time.Duration) func(*reboot.Facts) {
		return tried(reboot.Eviction{Tries: tries, LastAt: now.Add(-ago), Message: "no (429)"})
	}

	for _, tc := range []struct {
		name  string
		facts given
		want  string
		again time.Duration
	}{
		{"leaves pods of DaemonSets", given{runs(pod("web", func(p *reboot.Pod) { p.DaemonSet = true }))}, drained, 0},
		{"leaves static pods", given{runs(pod("web", func(p *reboot.Pod) { p.Mirror = true }))}, drained, 0},
		{"leaves pods that need not leave", given{runs(pod("web", func(p *reboot.Pod) { p.Selected = false }))}, drained, 0},
		{
			"deletes finished pods and does not wait for them",
			given{runs(pod("web", func(p *reboot.Pod) { p.Finished = true }))},
			"Drained Delayed, delete web, " + rest, 0,
		},
		{
			"leaves the finished pods of DaemonSets to their controller",
			given{runs(pod("web", func(p *reboot.Pod) { p.Finished, p.DaemonSet = true, true }))},
			drained, 0,
		},
		{
			"deletes a finished pod once",
			given{runs(pod("web", func(p *reboot.Pod) { p.Finished, p.DeletedAt = true, now }))},
			drained, 0,
		},
		{
			"waits for a pod that is being deleted",
			given{runs(pod("web", func(p *reboot.Pod) { p.DeletedAt = now.Add(-time.Hour) }))},
			cordoned + rest, 4 * time.Minute,
		},
		{
			"waits for it as long as the policy says",
			given{
				runs(pod("web", func(p *reboot.Pod) { p.DeletedAt = now.Add(-time.Minute) })),
				policy(func(p *reboot.Policy) { p.Drain.SkipDeletingAfter = new(2 * time.Minute) }),
			},
			cordoned + rest, time.Minute,
		},
		{
			"waits for it no longer than the policy says",
			given{
				runs(pod("web", func(p *reboot.Pod) { p.DeletedAt = now.Add(-2 * time.Minute) })),
				policy(func(p *reboot.Policy) { p.Drain.SkipDeletingAfter = new(2 * time.Minute) }),
			},
			drained, 0,
		},
		{"evicts side by side", given{runs(pod("web"), pod("db"))}, cordoned + "evict db, evict web, " + rest, 4 * time.Minute},
		{"tries what the budget seems to hold", given{runs(pod("web", guarded)), closed}, cordoned + "evict web, " + rest, 4 * time.Minute},
		{
			"waits for an eviction that is under way",
			given{runs(pod("web")), tried(reboot.Eviction{InFlight: true})},
			cordoned + rest, 4 * time.Minute,
		},
		{"waits a second after the first try", given{runs(pod("web", guarded)), closed, failed(1, 0)}, cordoned + rest, time.Second},
		{"tries again after that", given{runs(pod("web", guarded)), closed, failed(1, time.Second)}, cordoned + "evict web, " + rest, 4 * time.Minute},
		{"waits longer after the third try", given{runs(pod("web", guarded)), closed, failed(3, time.Second)}, cordoned + rest, 3 * time.Second},
		{"waits half a minute at most", given{runs(pod("web", guarded)), closed, failed(99, 20*time.Second)}, cordoned + rest, 10 * time.Second},
		{"tries at once when the budget is freed", given{runs(pod("web", guarded)), open, failed(99, time.Second)}, cordoned + "evict web, " + rest, 4 * time.Minute},
		{
			"does not try all the time if that is not the reason",
			given{runs(pod("web", guarded)), open, failed(99, 0)},
			cordoned + rest, time.Second,
		},
		{
			"does not ask again at once for a pod that has yet to notice",
			given{runs(pod("web")), tried(reboot.Eviction{Tries: 1, LastAt: now})},
			cordoned + rest, time.Second,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			decision := reboot.Plan(facts(append(given{in("a", reboot.PhaseCordoned, time.Minute)}, tc.facts...)...), now)
			assert.Equal(t, tc.want, told(decision, "a"))
			assert.Equal(t, tc.again, again(decision))
		})
	}
}

func TestADrainNamesThePodsThatItWaitsFor(t *testing.T) {
	t.Parallel()

	message := func(pods ...reboot.Pod) string {
		return reboot.Plan(facts(in("a", reboot.PhaseCordoned, time.Minute), runs(pods...)), now).Reboots["a"].Status.Message
	}

	assert.Equal(t, "3 pod(s) have yet to leave: shop/a, shop/b, shop/c", message(pod("c"), pod("b"), pod("a")))
	assert.Equal(t, "4 pod(s) have yet to leave", message(pod("a"), pod("b"), pod("c"), pod("d")))
}

func TestADrainSaysWhatHoldsThePods(t *testing.T) {
	t.Parallel()

	blocking := func(all ...func(*reboot.Facts)) []reboot.BlockingPod {
		return reboot.Plan(facts(append(given{in("a", reboot.PhaseCordoned, time.Minute)}, all...)...), now).Reboots["a"].Status.BlockedBy
	}

	assert.Empty(t, blocking(runs(pod("web"))))
	assert.Equal(t, []reboot.BlockingPod{
		{Namespace: "shop", Name: "web", Budgets: []string{"shop/web"}, Message: "PodDisruptionBudget shop/web allows no disruption now"},
	}, blocking(runs(pod("web", guarded)), closed))
	// What the API server has said says more.
	assert.Equal(t, []reboot.BlockingPod{
		{Namespace: "shop", Name: "web", Budgets: []string{"shop/web"}, Message: "a webhook said no (403)"},
	}, blocking(runs(pod("web", guarded)), closed, tried(reboot.Eviction{Tries: 1, LastAt: now, Message: "a webhook said no (403)"})))
	assert.Equal(t, []reboot.BlockingPod{
		{Namespace: "shop", Name: "web", Message: "is being deleted, and held by a, b"},
	}, blocking(runs(pod("web", guarded, func(p *reboot.Pod) { p.DeletedAt, p.Finalizers = now, []string{"a", "b"} }))))
}

func TestTheGracePeriodOfThePolicyGoesWithEveryEviction(t *testing.T) {
	t.Parallel()

	next := reboot.Plan(facts(in("a", reboot.PhaseCordoned, 0), runs(pod("web")), policy(func(p *reboot.Policy) {
		p.Drain.GracePeriodSeconds = new(int64(7))
	})), now).Reboots["a"]
	assert.Equal(t, new(int64(7)), next.Pods[0].GracePeriodSeconds)
}

// TestWhenTheTimeIsOver has what becomes of pods that cannot be evicted.
func TestWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()

	const (
		rest  = ", finalizer, slot ua/1 Cordoned"
		after = 5 * time.Minute
	)

	onBlocked := func(what reboot.OnBlocked) func(*reboot.Facts) {
		return policy(func(p *reboot.Policy) { p.Drain.OnBlocked = what })
	}
	forceAfter := func(d time.Duration) func(*reboot.Facts) {
		return policy(func(p *reboot.Policy) { p.Drain.OnBlocked, p.Drain.ForceAfter = reboot.Force, &d })
	}
	force := asks("a", func(r *reboot.Reboot) { r.Force = true })
	stuck := runs(pod("web", guarded, func(p *reboot.Pod) { p.DeletedAt, p.Finalizers = now, []string{"x"} }))

	for _, tc := range []struct {
		name  string
		ago   time.Duration
		facts given
		want  string
		again time.Duration
	}{
		{"the node is given up by default", after, nil, "Restoring Blocked" + rest, 0},
		{"and not before", after - time.Second, nil, "Cordoned Draining, evict web" + rest, time.Second},
		{"the node is rebooted as it is if the policy says so", after, given{onBlocked(reboot.RebootAnyway)}, "Drained PodsLeft, evict web" + rest, 0},
		{"and not before that", after - 1, given{onBlocked(reboot.RebootAnyway)}, "Cordoned Draining, evict web" + rest, 1},
		{"pods are deleted if the policy says so", after, given{onBlocked(reboot.Force)}, "Cordoned Forcing, force web" + rest, after},
		{"and not a moment before", after - time.Second, given{onBlocked(reboot.Force)}, "Cordoned Draining, evict web" + rest, time.Second},
		{
			"only what is held is deleted", after,
			given{onBlocked(reboot.Force), runs(pod("db"))},
			"Cordoned Forcing, evict db, force web" + rest, after,
		},
		{
			"force waits a second after a try, not half a minute", after,
			given{onBlocked(reboot.Force), tried(reboot.Eviction{Tries: 9, LastAt: now.Add(-time.Second), Message: "no"})},
			"Cordoned Forcing, force web" + rest, after,
		},
		{"force has an end too", 2 * after, given{onBlocked(reboot.Force), stuck}, "Restoring Blocked" + rest, 0},
		{"a finalizer ends force in the same way", after, given{onBlocked(reboot.Force), stuck}, "Cordoned Forcing, force web" + rest, after},
		{"force begins when the request is old enough", after, given{forceAfter(time.Hour)}, "Cordoned Forcing, force web" + rest, after},
		{"the node is given up before that", after, given{forceAfter(2 * time.Hour)}, "Restoring Blocked" + rest, time.Hour},
		{"a request with force does not wait", 0, given{force}, "Cordoned Draining, force web" + rest, after},
		{"a request with force reboots with what is left", after, given{force}, "Drained PodsLeft, force web" + rest, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			all := append(given{in("a", reboot.PhaseCordoned, tc.ago), runs(pod("web", guarded)), closed}, tc.facts...)
			decision := reboot.Plan(facts(all...), now)
			assert.Equal(t, tc.want, told(decision, "a"))
			assert.Equal(t, tc.again, again(decision))
		})
	}
}

func TestARequestIsAsOldAsWhatItAsksForNow(t *testing.T) {
	t.Parallel()

	all := given{
		in("a", reboot.PhaseCordoned, 5*time.Minute), runs(pod("web", guarded)), closed,
		policy(func(p *reboot.Policy) { p.Drain.OnBlocked, p.Drain.ForceAfter = reboot.Force, new(time.Hour) }),
		asks("a", func(r *reboot.Reboot) { r.RequestedAt = now.Add(-time.Minute) }),
	}
	testPlan(t, all, "Restoring Blocked, finalizer, slot ua/1 Cordoned")
}

func TestWhoMayForceNeedsNoPreflight(t *testing.T) {
	t.Parallel()

	for _, apply := range []func(*reboot.Policy){
		func(p *reboot.Policy) { p.Drain.OnBlocked = reboot.Force },
		func(p *reboot.Policy) { p.Drain.OnBlocked = reboot.RebootAnyway },
		func(p *reboot.Policy) { p.Drain.OnBlocked, p.Drain.ForceAfter = reboot.Force, new(time.Hour) },
	} {
		testPlan(t, given{runs(pod("web", guarded)), closed, policy(apply)}, "Pending Next, slot ua/1 Pending")
	}

	later := policy(func(p *reboot.Policy) { p.Drain.OnBlocked, p.Drain.ForceAfter = reboot.Force, new(90*time.Minute) })
	decision := reboot.Plan(facts(runs(pod("web", guarded)), closed, later), now)
	assert.Equal(t, "Pending Blocked", told(decision, "a"))
	assert.Equal(t, 30*time.Minute, again(decision))
}

func TestPodsThatStayAreRebootedWithOnlyIfSomebodySaysSo(t *testing.T) {
	t.Parallel()

	left := given{in("a", reboot.PhaseDrained, 0), runs(pod("web", guarded)), closed}

	testPlan(t, left, "Cordoned, finalizer, slot ua/1 Drained")
	testPlan(t, append(left, asks("a", func(r *reboot.Reboot) { r.Force = true })), "Granted Rebooting, finalizer, slot ua/1 Drained")
	testPlan(t, append(left, policy(func(p *reboot.Policy) { p.Drain.OnBlocked = reboot.RebootAnyway })),
		"Granted Rebooting, finalizer, slot ua/1 Drained")
}

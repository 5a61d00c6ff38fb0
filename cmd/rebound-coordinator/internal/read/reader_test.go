// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func newBuilder(t *testing.T, objects ...client.Object) *fake.ClientBuilder {
	t.Helper()

	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	require.NoError(t, v1alpha1.AddToScheme(scheme))

	return fake.NewClientBuilder().WithScheme(scheme).WithIndex(&corev1.Pod{}, read.NodeNameField, read.IndexPod).WithObjects(objects...)
}

func newReader(c client.Client) *read.Reader {
	return &read.Reader{Client: c, Objects: store.New(c, c)}
}

func mustRead(t *testing.T, objects ...client.Object) *read.Snapshot {
	t.Helper()

	snapshot, err := newReader(newBuilder(t, objects...).Build()).Read(t.Context())
	require.NoError(t, err)

	return snapshot
}

func newNode(name string, labels ...string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, label := range labels {
		node.Labels[label] = ""
	}

	return node
}

func newReboot(name string, phase v1alpha1.Phase) *v1alpha1.NodeReboot {
	return &v1alpha1.NodeReboot{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}, Status: v1alpha1.NodeRebootStatus{Phase: phase},
	}
}

func newPod(node, namespace, name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: corev1.PodSpec{NodeName: node},
	}
}

func newPodBudget(namespace, name string, selector *metav1.LabelSelector) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector},
	}
}

func selecting(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func TestAnEmptyClusterHasNoBudget(t *testing.T) {
	t.Parallel()

	snapshot := mustRead(t)
	assert.Nil(t, snapshot.Budget)
	assert.Nil(t, snapshot.Facts.Budget)
	assert.Empty(t, snapshot.Facts.Reboots)
}

func TestTheBudgetIsTheOneNamedDefault(t *testing.T) {
	t.Parallel()

	other := &v1alpha1.RebootBudget{ObjectMeta: metav1.ObjectMeta{Name: "another"}, Spec: v1alpha1.RebootBudgetSpec{MaxUnavailable: 9}}
	assert.Nil(t, mustRead(t, other).Facts.Budget)

	snapshot := mustRead(t, other, &v1alpha1.RebootBudget{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
		Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: 2, Paused: true},
		Status: v1alpha1.RebootBudgetStatus{Holders: []v1alpha1.SlotHolder{{
			Node: "a", UID: "uid", Attempt: 3, Policy: "workers", Since: metav1.NewTime(at), Step: v1alpha1.PhaseDrained,
		}}},
	})

	require.NotNil(t, snapshot.Facts.Budget)

	holder := snapshot.Facts.Budget.Holders["a"]
	assert.True(t, holder.Since.Equal(at))

	holder.Since = at
	assert.Equal(t, reboot.Holder{UID: "uid", Attempt: 3, Policy: "workers", Since: at, Step: reboot.PhaseDrained}, holder)
	assert.Equal(t, 2, snapshot.Facts.Budget.MaxUnavailable)
	assert.True(t, snapshot.Facts.Budget.Paused)
}

func TestPodsAreReadOfNodesWithSomethingToDo(t *testing.T) {
	t.Parallel()

	ready := newPod("control", "kube-system", "etcd-control", map[string]string{"component": "etcd"})
	ready.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}

	unready := ready.DeepCopy()
	unready.Name, unready.Status.Conditions = "etcd-events-control", nil

	notStatic := ready.DeepCopy()
	notStatic.Name, notStatic.Annotations = "etcd-of-somebody", nil

	snapshot := mustRead(t,
		newNode("waiting"), newNode("done"), newNode("idle"), newNode("control", "node-role.kubernetes.io/control-plane"),
		newReboot("waiting", v1alpha1.PhasePending), newReboot("done", v1alpha1.PhaseDone), newReboot("gone", v1alpha1.PhasePending),
		newPod("waiting", "shop", "on-waiting", nil), newPod("done", "shop", "on-done", nil), newPod("idle", "shop", "on-idle", nil),
		newPod("control", "shop", "on-control", nil), newPod("gone", "shop", "on-gone", nil), ready, unready, notStatic)

	require.Len(t, snapshot.Facts.Pods, 1)
	require.Len(t, snapshot.Facts.Pods["waiting"], 1)
	assert.Equal(t, "on-waiting", snapshot.Facts.Pods["waiting"][0].Name)
	assert.Equal(t, 2, snapshot.Facts.Nodes["control"].EtcdPods)
	assert.Equal(t, 1, snapshot.Facts.Nodes["control"].EtcdPodsReady)
}

// What is told before the pods are read is what makes a change of a pod lead to a new decision. Told afterwards, a change in
// between would be lost.
func TestNodesAreToldBeforeTheirPodsAreRead(t *testing.T) {
	t.Parallel()

	var told sets.Set[string]

	c := newBuilder(t, newNode("a"), newNode("b"), newNode("c", "node-role.kubernetes.io/master"), newReboot("a", v1alpha1.PhaseCordoned)).
		WithInterceptorFuncs(interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				if _, ok := list.(*corev1.PodList); ok && told == nil {
					return errors.New("pods are read too early")
				}

				return c.List(ctx, list, options...)
			},
		}).Build()

	reader := newReader(c)
	reader.Watching = func(nodes sets.Set[string]) { told = nodes }

	_, err := reader.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, sets.New("a", "c"), told)
}

func TestPodBudgetsSelectAsTheAPIServerDoes(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		budgets []client.Object
		labels  map[string]string
		want    []string
	}{
		"no budget": {labels: map[string]string{"app": "web"}},
		"one that selects it": {
			[]client.Object{newPodBudget("shop", "web", selecting("web"))}, map[string]string{"app": "web"}, []string{"shop/web"},
		},
		"one that selects another": {
			[]client.Object{newPodBudget("shop", "db", selecting("db"))}, map[string]string{"app": "web"}, nil,
		},
		"one of another namespace": {
			[]client.Object{newPodBudget("bank", "web", selecting("web"))}, map[string]string{"app": "web"}, nil,
		},
		"an empty selector selects all": {
			[]client.Object{newPodBudget("shop", "all", &metav1.LabelSelector{})}, nil, []string{"shop/all"},
		},
		"no selector selects none": {[]client.Object{newPodBudget("shop", "none", nil)}, map[string]string{"app": "web"}, nil},
		"a selector that cannot be used selects none": {
			[]client.Object{newPodBudget("shop", "bad", &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}},
			})},
			map[string]string{"app": "web"},
			nil,
		},
		"several at the same time": {
			[]client.Object{newPodBudget("shop", "web", selecting("web")), newPodBudget("shop", "all", &metav1.LabelSelector{})},
			map[string]string{"app": "web"},
			[]string{"shop/all", "shop/web"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			snapshot := mustRead(t, append(test.budgets,
				newNode("a"), newReboot("a", v1alpha1.PhasePending), newPod("a", "shop", "web-0", test.labels))...)

			require.Len(t, snapshot.Facts.Pods["a"], 1)
			assert.ElementsMatch(t, test.want, snapshot.Facts.Pods["a"][0].Budgets)

			for _, budget := range test.want {
				assert.Contains(t, snapshot.Facts.PodBudgets, budget)
			}
		})
	}
}

func TestPodBudgetFacts(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		change func(*policyv1.PodDisruptionBudget)
		want   reboot.PodBudget
	}{
		"a new one was not computed yet": {func(b *policyv1.PodDisruptionBudget) { b.Generation = 1 }, reboot.PodBudget{}},
		"it allows some": {
			func(b *policyv1.PodDisruptionBudget) {
				b.Generation, b.Status.ObservedGeneration, b.Status.DisruptionsAllowed = 2, 2, 3
			},
			reboot.PodBudget{Current: true, Allowed: 3},
		},
		"as many are healthy as it demands": {
			func(b *policyv1.PodDisruptionBudget) { b.Status.DesiredHealthy, b.Status.CurrentHealthy = 2, 2 },
			reboot.PodBudget{Current: true, Healthy: true},
		},
		"fewer are healthy than it demands": {
			func(b *policyv1.PodDisruptionBudget) { b.Status.DesiredHealthy, b.Status.CurrentHealthy = 2, 1 },
			reboot.PodBudget{Current: true},
		},
		"one that demands none guards nothing": {
			func(b *policyv1.PodDisruptionBudget) { b.Status.CurrentHealthy = 1 }, reboot.PodBudget{Current: true},
		},
		"unhealthy pods may always go": {
			func(b *policyv1.PodDisruptionBudget) { b.Spec.UnhealthyPodEvictionPolicy = new(policyv1.AlwaysAllow) },
			reboot.PodBudget{Current: true, AlwaysAllowsUnhealthy: true},
		},
		"unhealthy pods may go if the others are healthy": {
			func(b *policyv1.PodDisruptionBudget) {
				b.Spec.UnhealthyPodEvictionPolicy = new(policyv1.IfHealthyBudget)
			},
			reboot.PodBudget{Current: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			budget := newPodBudget("shop", "web", &metav1.LabelSelector{})
			test.change(budget)

			snapshot := mustRead(t, newNode("a"), newReboot("a", v1alpha1.PhasePending), newPod("a", "shop", "web-0", nil), budget)
			assert.Equal(t, test.want, snapshot.Facts.PodBudgets["shop/web"])
		})
	}
}

func TestThePolicySaysWhichPodsHaveToLeave(t *testing.T) {
	t.Parallel()

	policy := func() client.Object {
		return newPolicy("workers", func(spec *v1alpha1.RebootPolicySpec) { spec.Drain.PodSelector = selecting("web") })
	}

	for name, test := range map[string]struct {
		policies []client.Object
		want     map[string]bool
	}{
		"without a policy all have to":   {nil, map[string]bool{"db": true, "web": true}},
		"without a selector all have to": {[]client.Object{newPolicy("workers", nil)}, map[string]bool{"db": true, "web": true}},
		"a selector selects":             {[]client.Object{policy()}, map[string]bool{"db": false, "web": true}},
		"the policy of the node does":    {[]client.Object{policy(), newPolicy("other", func(spec *v1alpha1.RebootPolicySpec) { spec.Precedence = 1 })}, map[string]bool{"db": true, "web": true}},
		"one that does not select it is out": {[]client.Object{newPolicy("workers", func(spec *v1alpha1.RebootPolicySpec) {
			spec.NodeSelector, spec.Drain.PodSelector = *selecting("web"), selecting("web")
		})}, map[string]bool{"db": true, "web": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			snapshot := mustRead(t, append(test.policies, newNode("a"), newReboot("a", v1alpha1.PhasePending),
				newPod("a", "shop", "db", map[string]string{"app": "db"}), newPod("a", "shop", "web", map[string]string{"app": "web"}))...)

			got := map[string]bool{}
			for _, pod := range snapshot.Facts.Pods["a"] {
				got[pod.Name] = pod.Selected
			}

			assert.Equal(t, test.want, got)
		})
	}
}

func newPolicy(name string, change func(*v1alpha1.RebootPolicySpec)) *v1alpha1.RebootPolicy {
	policy := &v1alpha1.RebootPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.Drain.Timeout.Duration = 5 * time.Minute

	if change != nil {
		change(&policy.Spec)
	}

	return policy
}

func TestPolicyFacts(t *testing.T) {
	t.Parallel()

	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)

	duration := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }

	for name, test := range map[string]struct {
		change func(*v1alpha1.RebootPolicySpec)
		// want changes what newPolicy gives without a change.
		want func(*reboot.Policy)
	}{
		"one with the defaults": {func(*v1alpha1.RebootPolicySpec) {}, func(*reboot.Policy) {}},
		"everything that is a number": {
			func(spec *v1alpha1.RebootPolicySpec) {
				spec.Precedence, spec.Priority, spec.MaxUnavailable = 1, -2, new(intstr.FromInt32(3))
				spec.Drain.GracePeriodSeconds = new(int64(0))
				spec.Drain.ForceAfter = new(duration(time.Hour))
				spec.Drain.SkipPodsDeletingLongerThan = new(duration(0))
				spec.Reboot.Delay, spec.Reboot.Timeout = duration(time.Second), duration(time.Minute)
				spec.Gates.Settle, spec.Cooldown = duration(2*time.Second), duration(2*time.Hour)
			},
			func(policy *reboot.Policy) {
				policy.Precedence, policy.Priority, policy.MaxUnavailable = 1, -2, reboot.Limit{Count: 3}
				policy.Drain.GracePeriodSeconds = new(int64(0))
				policy.Drain.ForceAfter = new(time.Hour)
				policy.Drain.SkipDeletingAfter = new(time.Duration(0))
				policy.Delay, policy.Timeout = time.Second, time.Minute
				policy.Settle, policy.Cooldown = 2*time.Second, 2*time.Hour
			},
		},
		"a percentage": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.MaxUnavailable = new(intstr.FromString("30%")) },
			func(policy *reboot.Policy) { policy.MaxUnavailable = reboot.Limit{Percent: 30} },
		},
		"a percentage over 100": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.MaxUnavailable = new(intstr.FromString("101%")) },
			func(policy *reboot.Policy) {
				policy.Error = `spec.maxUnavailable "101%" is no percentage from 1% to 100%`
			},
		},
		"a percentage of 0": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.MaxUnavailable = new(intstr.FromString("0%")) },
			func(policy *reboot.Policy) {
				policy.Error = `spec.maxUnavailable "0%" is no percentage from 1% to 100%`
			},
		},
		"a number that is a text": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.MaxUnavailable = new(intstr.FromString("3")) },
			func(policy *reboot.Policy) { policy.Error = `spec.maxUnavailable "3" is no percentage from 1% to 100%` },
		},
		"force": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.Drain.OnBlocked = v1alpha1.Force },
			func(policy *reboot.Policy) { policy.Drain.OnBlocked = reboot.Force },
		},
		"reboot as it is": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.Drain.OnBlocked = v1alpha1.RebootAnyway },
			func(policy *reboot.Policy) { policy.Drain.OnBlocked = reboot.RebootAnyway },
		},
		"a word for onBlocked that is not known gives up": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.Drain.OnBlocked = "Evaporate" }, func(*reboot.Policy) {},
		},
		"the agent": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.Reboot.Method = v1alpha1.MethodAgent },
			func(policy *reboot.Policy) { policy.Method = reboot.MethodAgent },
		},
		"the Talos API": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.Reboot.Method = v1alpha1.MethodTalosAPI },
			func(policy *reboot.Policy) { policy.Method = reboot.MethodTalosAPI },
		},
		"conditions": {
			func(spec *v1alpha1.RebootPolicySpec) {
				spec.Gates.NodeConditions = []v1alpha1.NodeConditionGate{{Type: "DiskPressure", Status: "False"}}
			},
			func(policy *reboot.Policy) { policy.Conditions = map[string]string{"DiskPressure": "False"} },
		},
		"windows": {
			func(spec *v1alpha1.RebootPolicySpec) {
				spec.Windows = []v1alpha1.Window{
					{Days: []v1alpha1.Weekday{"Fri", "Sun"}, Start: "22:00", End: "02:00", TimeZone: "Europe/Berlin"},
					{Start: "00:00", End: "00:00", TimeZone: "UTC"},
				}
			},
			func(policy *reboot.Policy) {
				policy.Windows = []reboot.Window{
					{Days: []time.Weekday{time.Friday, time.Sunday}, Start: mustParse(t, "22:00"), End: mustParse(t, "02:00"), Location: berlin},
					{Location: time.UTC},
				}
			},
		},
		"windows that cannot be used": {
			func(spec *v1alpha1.RebootPolicySpec) {
				spec.Windows = []v1alpha1.Window{
					{Start: "00:00", End: "06:00", TimeZone: "Mars/Olympus"},
					{Start: "24:00", End: "06:00", TimeZone: "UTC"},
					{Start: "00:00", End: "6", TimeZone: "UTC"},
					{Days: []v1alpha1.Weekday{"Day"}, Start: "00:00", End: "06:00", TimeZone: "UTC"},
					{Start: "00:00", End: "06:00", TimeZone: "UTC"},
				}
			},
			func(policy *reboot.Policy) {
				policy.Windows = []reboot.Window{{End: mustParse(t, "06:00"), Location: time.UTC}}
				policy.Error = `spec.windows[0]: timeZone "Mars/Olympus": unknown time zone Mars/Olympus; ` +
					`spec.windows[1]: start: ` + parseError(t, "24:00") + `; spec.windows[2]: end: ` + parseError(t, "6") +
					`; spec.windows[3]: days: "Day" is no day`
			},
		},
		"a drain without an end": {
			func(spec *v1alpha1.RebootPolicySpec) { spec.Drain.Timeout = metav1.Duration{} },
			func(policy *reboot.Policy) {
				policy.Drain.Timeout, policy.Error = 0, "spec.drain.timeout must be greater than 0"
			},
		},
		"a selector of pods that cannot be used": {
			func(spec *v1alpha1.RebootPolicySpec) {
				spec.Drain.PodSelector = &metav1.LabelSelector{
					MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}},
				}
			},
			func(policy *reboot.Policy) {
				policy.Error = `spec.drain.podSelector: "Like" is not a valid label selector operator`
			},
		},
		"a selector of nodes that cannot be used": {
			func(spec *v1alpha1.RebootPolicySpec) {
				spec.NodeSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}
			},
			func(policy *reboot.Policy) {
				policy.Error = `spec.nodeSelector: "Like" is not a valid label selector operator`
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			want := reboot.Policy{
				Name: "workers", MaxUnavailable: reboot.Limit{Count: 1}, Drain: reboot.Drain{Timeout: 5 * time.Minute},
				Conditions: map[string]string{},
			}
			test.want(&want)

			assert.Equal(t, []reboot.Policy{want}, mustRead(t, newPolicy("workers", test.change)).Facts.Policies)
		})
	}
}

func mustParse(t *testing.T, text string) reboot.TimeOfDay {
	t.Helper()

	parsed, err := reboot.ParseTimeOfDay(text)
	require.NoError(t, err)

	return parsed
}

func parseError(t *testing.T, text string) string {
	t.Helper()

	_, err := reboot.ParseTimeOfDay(text)
	require.Error(t, err)

	return err.Error()
}

func TestNodesKnowThePoliciesThatSelectThem(t *testing.T) {
	t.Parallel()

	bad := newPolicy("bad", func(spec *v1alpha1.RebootPolicySpec) {
		spec.NodeSelector.MatchLabels = map[string]string{"no label": ""}
	})
	facts := mustRead(t, bad, newPolicy("all", nil), newPolicy("edge", func(spec *v1alpha1.RebootPolicySpec) {
		spec.NodeSelector.MatchLabels = map[string]string{"edge": ""}
	}), newNode("a"), newNode("b", "edge")).Facts

	assert.ElementsMatch(t, []string{"all"}, facts.Nodes["a"].Policies)
	assert.ElementsMatch(t, []string{"all", "edge"}, facts.Nodes["b"].Policies)
}

func TestRebootFacts(t *testing.T) {
	t.Parallel()

	created := at.Add(-time.Hour)

	for name, test := range map[string]struct {
		change func(*v1alpha1.NodeReboot)
		want   func(*reboot.Reboot)
	}{
		"what was just made": {func(*v1alpha1.NodeReboot) {}, func(*reboot.Reboot) {}},
		"everything that can be asked for": {
			func(object *v1alpha1.NodeReboot) {
				object.Spec = v1alpha1.NodeRebootSpec{
					Priority: new(int32(-7)), NotBefore: new(metav1.NewTime(at)), Suspend: true, Force: true,
					RequestedAt: new(metav1.NewTime(at)),
				}
			},
			func(r *reboot.Reboot) {
				r.Priority, r.NotBefore, r.Suspend, r.Force, r.RequestedAt = new(-7), at, true, true, at
			},
		},
		"a fraction of a second is cut off": {
			func(object *v1alpha1.NodeReboot) {
				object.Spec.RequestedAt = new(metav1.NewTime(at.Add(500 * time.Millisecond)))
			},
			func(r *reboot.Reboot) { r.RequestedAt = at },
		},
		"it was made of a node's wish": {
			func(object *v1alpha1.NodeReboot) {
				object.Labels = map[string]string{v1alpha1.OriginLabel: v1alpha1.OriginNode}
			},
			func(r *reboot.Reboot) { r.FromNode = true },
		},
		"somebody else made it": {
			func(object *v1alpha1.NodeReboot) { object.Labels = map[string]string{v1alpha1.OriginLabel: "somebody"} },
			func(*reboot.Reboot) {},
		},
		"it is being deleted and ours holds it": {
			func(object *v1alpha1.NodeReboot) {
				object.DeletionTimestamp = new(metav1.NewTime(at))
				object.Finalizers = []string{"example.com/other", v1alpha1.Finalizer}
			},
			func(r *reboot.Reboot) { r.Deleting, r.Finalizer = true, true },
		},
		"another finalizer is not ours": {
			func(object *v1alpha1.NodeReboot) { object.Finalizers = []string{"example.com/other"} }, func(*reboot.Reboot) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			object := newReboot("a", "")
			object.CreationTimestamp = metav1.NewTime(created)
			test.change(object)

			want := reboot.Reboot{UID: "uid-a", Created: created}
			test.want(&want)

			got := read.RebootFacts(object)
			assert.Equal(t, want, got)
		})
	}
}

func TestPodsWithOtherLabelsOrNamespacesAreComparedAnew(t *testing.T) {
	t.Parallel()

	web, db := map[string]string{"app": "web"}, map[string]string{"app": "db"}

	snapshot := mustRead(t,
		newPodBudget("shop", "web", selecting("web")), newPodBudget("shop", "db", selecting("db")),
		newNode("a"), newReboot("a", v1alpha1.PhasePending),
		newPod("a", "shop", "web-0", web), newPod("a", "shop", "web-1", web), newPod("a", "shop", "db-0", db),
		newPod("a", "bank", "web-0", web))

	found := map[string][]string{}
	for _, pod := range snapshot.Facts.Pods["a"] {
		found[pod.Namespace+"/"+pod.Name] = pod.Budgets
	}

	assert.Equal(t, map[string][]string{
		"shop/web-0": {"shop/web"}, "shop/web-1": {"shop/web"}, "shop/db-0": {"shop/db"}, "bank/web-0": nil,
	}, found)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

const (
	mirror = "kubernetes.io/config.mirror"
	skip   = "recovery.talos.dev/skip"
)

var (
	created = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)
	started = created.Add(time.Second)
)

// pod is one of a DaemonSet that runs and is Ready.
func pod(edits ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "cilium-x7f2p", UID: "u1", ResourceVersion: "7",
			Labels:            map[string]string{"k8s-app": "cilium"},
			CreationTimestamp: metav1.NewTime(created),
			OwnerReferences:   []metav1.OwnerReference{owner("apps/v1", "DaemonSet", new(true))},
			ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "kubelet"}},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "agent", Image: "cilium"}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: new(metav1.NewTime(started)), PodIP: "10.0.0.5",
			Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "True"}, {Type: corev1.PodReady, Status: "True"}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "agent", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		},
	}

	for _, edit := range edits {
		edit(p)
	}

	return p
}

func owner(apiVersion, kind string, controller *bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: "cilium", UID: "d5", Controller: controller}
}

func owned(refs ...metav1.OwnerReference) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.OwnerReferences = refs }
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, key, value) }
}

func disrupted(status corev1.ConditionStatus, reason string) func(*corev1.Pod) {
	return conditions(corev1.PodCondition{Type: corev1.DisruptionTarget, Status: status, Reason: reason})
}

func conditions(c ...corev1.PodCondition) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Conditions = c }
}

// pending is that of a pod that does not run yet.
func pending(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending}
}

func waiting(reasons ...string) []corev1.ContainerStatus {
	statuses := make([]corev1.ContainerStatus, 0, len(reasons))

	for _, reason := range reasons {
		status := corev1.ContainerStatus{State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "a long story"},
		}}
		if reason == "-" {
			status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}
		}

		statuses = append(statuses, status)
	}

	return statuses
}

// all returns an edit that is several.
func all(edits ...func(*corev1.Pod)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, edit := range edits {
			edit(p)
		}
	}
}

func TestFactsOfAPod(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		pod  func(*corev1.Pod)
		// want changes the facts of pod.
		want func(*recovery.Pod)
	}{
		{"that runs", func(*corev1.Pod) {}, func(*recovery.Pod) {}},
		{
			"that the kubelet rejected while shutting down",
			func(p *corev1.Pod) {
				p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeShutdown", Message: "Pod was rejected", StartTime: p.Status.StartTime}
			},
			func(f *recovery.Pod) {
				f.Failed, f.Ready, f.Summary, f.Reason, f.Message = true, false, "Failed", "NodeShutdown", "Pod was rejected"
			},
		},
		{
			"that has succeeded",
			func(p *corev1.Pod) { p.Status.Phase, p.Status.Conditions = corev1.PodSucceeded, nil },
			func(f *recovery.Pod) { f.Ready, f.Summary = false, "Succeeded" },
		},
		{
			"that the kubelet has not seen",
			func(p *corev1.Pod) { p.Status.StartTime = nil },
			func(f *recovery.Pod) { f.Started = time.Time{} },
		},
		{
			"that is being deleted and held by finalizers",
			func(p *corev1.Pod) {
				p.DeletionTimestamp, p.Finalizers = new(metav1.NewTime(started)), []string{"example.org/hold"}
			},
			func(f *recovery.Pod) { f.Deleting, f.Finalizers = true, []string{"example.org/hold"} },
		},
		{"that nobody owns", owned(), func(f *recovery.Pod) { f.Owner = recovery.Owner{} }},
		{
			"whose DaemonSet is another group's",
			owned(owner("apps.kruise.io/v1alpha1", "DaemonSet", new(true))),
			func(f *recovery.Pod) { f.Owner.Group, f.Owner.Version = "apps.kruise.io", "v1alpha1" },
		},
		{
			"whose owner has no group",
			owned(owner("v1", "Node", new(true))),
			func(f *recovery.Pod) { f.Owner.Group, f.Owner.Version, f.Owner.Kind = "", "v1", "Node" },
		},
		{
			"whose owner's API version makes no sense",
			owned(owner("apps/v1/beta", "DaemonSet", new(true))),
			func(f *recovery.Pod) { f.Owner.Group, f.Owner.Version = "", "" },
		},
		{
			"whose owner does not control it",
			owned(owner("apps/v1", "DaemonSet", new(false)), owner("apps/v1", "DaemonSet", nil)),
			func(f *recovery.Pod) { f.Owner = recovery.Owner{} },
		},
		{
			"whose controller is not its first owner",
			owned(owner("v1", "Node", nil), owner("apps/v1", "ReplicaSet", new(true))),
			func(f *recovery.Pod) { f.Owner.Kind = "ReplicaSet" },
		},
		{"that mirrors a static pod", annotated(mirror, "8d2"), func(f *recovery.Pod) { f.Mirror = true }},
		{"that mirrors a static pod without a hash", annotated(mirror, ""), func(f *recovery.Pod) { f.Mirror = true }},
		{"that is opted out", annotated(skip, "true"), func(f *recovery.Pod) { f.OptedOut = true }},
		{"that is opted in", annotated(skip, "false"), func(*recovery.Pod) {}},
		{"whose opt-out is another word", annotated(skip, "yes"), func(*recovery.Pod) {}},
		{"that has an annotation of no interest", annotated("example.org/skip", "true"), func(*recovery.Pod) {}},
		{
			"that the kubelet disrupted",
			disrupted("True", "TerminationByKubelet"),
			func(f *recovery.Pod) { f.KubeletDisrupted, f.Ready, f.Summary = true, false, "Running, not Ready" },
		},
		{
			"that the kubelet did not disrupt after all",
			disrupted("False", "TerminationByKubelet"),
			func(f *recovery.Pod) { f.Ready, f.Summary = false, "Running, not Ready" },
		},
		{
			"that was preempted",
			disrupted("True", "PreemptionByScheduler"),
			func(f *recovery.Pod) { f.Ready, f.Summary = false, "Running, not Ready" },
		},
		{
			"whose readiness is unknown",
			conditions(corev1.PodCondition{Type: corev1.PodReady, Status: "Unknown"}),
			func(f *recovery.Pod) { f.Ready, f.Summary = false, "Running, not Ready" },
		},
		{
			"that is pending", pending,
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending" },
		},
		{
			"that has no phase yet", all(pending, func(p *corev1.Pod) { p.Status.Phase = "" }),
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending" },
		},
		{
			"that cannot be scheduled",
			all(pending, conditions(corev1.PodCondition{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable"})),
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending: Unschedulable" },
		},
		{
			"that cannot be scheduled for no reason",
			all(pending, conditions(corev1.PodCondition{Type: corev1.PodScheduled, Status: "False"})),
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending" },
		},
		{
			"whose image cannot be pulled",
			all(pending, func(p *corev1.Pod) { p.Status.ContainerStatuses = waiting("-", "ImagePullBackOff", "ErrImagePull") }),
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending: ImagePullBackOff" },
		},
		{
			"whose init container's image cannot be pulled",
			all(pending, func(p *corev1.Pod) {
				p.Status.InitContainerStatuses = waiting("-", "ImagePullBackOff", "PodInitializing")
				p.Status.ContainerStatuses = waiting("ContainerCreating")
			}),
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending: ImagePullBackOff" },
		},
		{
			"whose containers wait for nothing in particular",
			all(pending, func(p *corev1.Pod) { p.Status.ContainerStatuses = waiting("PodInitializing", "", "-") }),
			func(f *recovery.Pod) { f.Ready, f.Started, f.Summary = false, time.Time{}, "Pending" },
		},
		{
			"that crashes again and again",
			func(p *corev1.Pod) {
				p.Status.ContainerStatuses, p.Status.Conditions = waiting("CrashLoopBackOff"), nil
			},
			func(f *recovery.Pod) { f.Ready, f.Summary = false, "Running: CrashLoopBackOff" },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			want := recovery.Pod{
				Namespace: "kube-system", Name: "cilium-x7f2p", UID: "u1", NodeName: node,
				Owner: recovery.Owner{Group: "apps", Version: "v1", Kind: "DaemonSet", Name: "cilium", UID: "d5"},
				Ready: true, Created: created, Started: started, Summary: "Running",
			}
			tc.want(&want)

			object := pod(tc.pod)

			assert.Equal(t, want, kube.FactsOf(object))
			assert.Equal(t, want, kube.FactsOf(trimmed(t, object)))
		})
	}
}

func TestAPodIsTrimmedToItsFacts(t *testing.T) {
	t.Parallel()

	for seed := range uint64(2000) {
		object := randomPod(rand.New(rand.NewPCG(seed, seed)))
		original := object.DeepCopy()
		once := trimmed(t, object)

		require.Equal(t, kube.FactsOf(object), kube.FactsOf(once), "seed %d", seed)
		require.Equal(t, once, trimmed(t, once), "seed %d", seed)
		require.Equal(t, original, object, "seed %d: trim changed its argument", seed)
	}
}

func TestAClientKeepsNothingElse(t *testing.T) {
	t.Parallel()

	client := serve(t, succeeding).open(t)
	object, err := client.Transform()(pod(annotated("example.org/note", "a long story"), owned(owner("v1", "Node", nil))))
	require.NoError(t, err)

	assert.Equal(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "cilium-x7f2p", UID: "u1", ResourceVersion: "7",
			CreationTimestamp: metav1.NewTime(created), OwnerReferences: []metav1.OwnerReference{},
		},
		Spec: corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: new(metav1.NewTime(started)),
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "True"}, {Type: corev1.PodReady, Status: "True"}},
		},
	}, object)
}

func TestTrimLeavesAlone(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		object any
	}{
		{"a pod that is gone", cache.DeletedFinalStateUnknown{Key: "kube-system/cilium", Obj: pod()}},
		{"what is not a pod", &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: "10.0.0.0/24"}}},
		{"nothing", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			got, err := kube.Trim(tc.object)

			require.NoError(t, err)
			assert.Equal(t, tc.object, got)
		})
	}
}

func trimmed(t *testing.T, object *corev1.Pod) *corev1.Pod {
	t.Helper()

	got, err := kube.Trim(object)
	require.NoError(t, err)
	require.IsType(t, object, got)

	return got.(*corev1.Pod) //nolint:forcetypeassert // the line above
}

// randomPod is made of values that mean something.
func randomPod(r *rand.Rand) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pick(r, "", "kube-system"), Name: pick(r, "a", "b"), UID: pick[types.UID](r, "", "u1"), ResourceVersion: "1",
			CreationTimestamp: pick(r, metav1.Time{}, metav1.NewTime(created)),
			DeletionTimestamp: pick(r, nil, new(metav1.NewTime(started))),
			Finalizers:        some(r, func() string { return pick(r, "x", "y") }),
			OwnerReferences: some(r, func() metav1.OwnerReference {
				return owner(pick(r, "apps/v1", "v1", "a/b/c", ""), pick(r, "DaemonSet", "Node"), pick(r, nil, new(true), new(false)))
			}),
		},
		Spec: corev1.PodSpec{NodeName: pick(r, "", node), HostNetwork: true},
		Status: corev1.PodStatus{
			Phase:  pick(r, "", corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown),
			Reason: pick(r, "", "NodeShutdown"), Message: pick(r, "", "Pod was rejected"),
			StartTime: pick(r, nil, new(metav1.NewTime(started)), &metav1.Time{}),
			Conditions: some(r, func() corev1.PodCondition {
				return corev1.PodCondition{
					Type:   pick(r, corev1.PodReady, corev1.PodScheduled, corev1.DisruptionTarget, corev1.ContainersReady),
					Status: pick(r, corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown, ""),
					Reason: pick(r, "", "TerminationByKubelet", "Unschedulable"),
				}
			}),
		},
	}

	for _, statuses := range []*[]corev1.ContainerStatus{
		&p.Status.InitContainerStatuses, &p.Status.ContainerStatuses, &p.Status.EphemeralContainerStatuses,
	} {
		*statuses = waiting(some(r, func() string { return pick(r, "", "-", "PodInitializing", "ImagePullBackOff", "CrashLoopBackOff") })...)
	}

	for _, key := range some(r, func() string { return pick(r, mirror, skip, "example.org/note") }) {
		annotated(key, pick(r, "", "true", "false", "yes"))(p)
	}

	return p
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// some returns up to three values.
func some[T any](r *rand.Rand, one func() T) []T {
	values := make([]T, r.IntN(4))
	for i := range values {
		values[i] = one()
	}

	return values
}

// named is a pod of the node in the namespace default.
func named(name string, edits ...func(*corev1.Pod)) *corev1.Pod {
	p := pod(edits...)
	p.Namespace, p.Name, p.UID = "default", name, types.UID(fmt.Sprintf("uid-of-%s", name))

	return p
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/internal/reboot"
)

func TestPodFacts(t *testing.T) {
	t.Parallel()

	owner := func(apiVersion, kind string, controls bool) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "o", Controller: new(controls)}}
		}
	}
	phase := func(phase corev1.PodPhase) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Status.Phase = phase }
	}

	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   reboot.Pod
	}{
		"a pod has its names": {
			func(pod *corev1.Pod) { pod.Namespace, pod.Name, pod.UID = "shop", "web-0", "uid" },
			reboot.Pod{Namespace: "shop", Name: "web-0", UID: "uid"},
		},
		"a DaemonSet controls it":                {owner("apps/v1", "DaemonSet", true), reboot.Pod{DaemonSet: true}},
		"a DaemonSet of another group does":      {owner("apps.kruise.io/v1alpha1", "DaemonSet", true), reboot.Pod{DaemonSet: true}},
		"a DaemonSet that only owns it does not": {owner("apps/v1", "DaemonSet", false), reboot.Pod{}},
		"a ReplicaSet controls it":               {owner("apps/v1", "ReplicaSet", true), reboot.Pod{}},
		"it mirrors a static pod": {
			func(pod *corev1.Pod) { pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"} },
			reboot.Pod{Mirror: true},
		},
		"it has succeeded": {phase(corev1.PodSucceeded), reboot.Pod{Finished: true}},
		"it has failed":    {phase(corev1.PodFailed), reboot.Pod{Finished: true}},
		"it is pending":    {phase(corev1.PodPending), reboot.Pod{Pending: true}},
		"it runs":          {phase(corev1.PodRunning), reboot.Pod{}},
		"it is Ready": {
			func(pod *corev1.Pod) {
				pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			},
			reboot.Pod{Ready: true},
		},
		"it is not Ready": {
			func(pod *corev1.Pod) {
				pod.Status.Conditions = []corev1.PodCondition{
					{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionFalse},
				}
			},
			reboot.Pod{},
		},
		"it was deleted its grace period ago": {
			func(pod *corev1.Pod) {
				pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = new(metav1.NewTime(at)), new(int64(30))
			},
			reboot.Pod{DeletedAt: at.Add(-30 * time.Second)},
		},
		"it was deleted without a grace period": {
			func(pod *corev1.Pod) {
				pod.DeletionTimestamp, pod.Finalizers = new(metav1.NewTime(at)), []string{"example.com/held"}
			},
			reboot.Pod{DeletedAt: at, Finalizers: []string{"example.com/held"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var pod corev1.Pod

			test.change(&pod)
			assert.Equal(t, test.want, read.PodFacts(&pod))
		})
	}
}

// A pod has too many fields to name, and an update of Kubernetes adds some: all of them are filled.
func TestTrimPodKeepsAllThatIsLookedAt(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		pod := drawPod(t)
		before := pod.DeepCopy()

		trimmed, err := read.TrimPod(pod)
		require.NoError(t, err)

		kept, _ := trimmed.(*corev1.Pod)

		assert.Equal(t, before, pod, "it was changed")
		assert.Equal(t, read.PodFacts(pod), read.PodFacts(kept))
		assert.Equal(t, read.IndexPod(pod), read.IndexPod(kept))
		// Selectors look at these, the cache and conditional requests at those.
		assert.Equal(t, pod.Labels, kept.Labels)
		assert.Equal(t, pod.ResourceVersion, kept.ResourceVersion)
	})
}

func TestTrimPodLeavesWhatIsNoPod(t *testing.T) {
	t.Parallel()

	gone := cache.DeletedFinalStateUnknown{Key: "shop/web-0"}
	trimmed, err := read.TrimPod(gone)
	require.NoError(t, err)
	assert.Equal(t, gone, trimmed)
}

func TestIndexPodKnowsOnlyBoundPods(t *testing.T) {
	t.Parallel()

	assert.Equal(t, []string{"node-a"}, read.IndexPod(&corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-a"}}))
	assert.Empty(t, read.IndexPod(&corev1.Pod{}))
	assert.Empty(t, read.IndexPod(&corev1.Node{}))
}

func drawPod(t *rapid.T) *corev1.Pod {
	word := rapid.SampledFrom([]string{"", "a", "b", "etcd", corev1.MirrorPodAnnotationKey, "component"})
	words := rapid.MapOfN(word, word, 0, 3)

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: word.Draw(t, "namespace"), Name: word.Draw(t, "name"), UID: "uid", ResourceVersion: "7",
			Labels: words.Draw(t, "labels"), Annotations: words.Draw(t, "annotations"),
			Finalizers: rapid.SliceOfN(word, 0, 2).Draw(t, "finalizers"),
		},
		Spec: corev1.PodSpec{
			NodeName:   word.Draw(t, "node"),
			Containers: []corev1.Container{{Name: "c", Env: []corev1.EnvVar{{Name: "SECRET", Value: "large"}}}},
		},
		Status: corev1.PodStatus{
			Phase: rapid.SampledFrom([]corev1.PodPhase{
				"", corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown,
			}).Draw(t, "phase"),
		},
	}

	if rapid.Bool().Draw(t, "deleted") {
		pod.DeletionTimestamp = new(metav1.NewTime(at.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "deleted at")) * time.Second)))
	}

	if rapid.Bool().Draw(t, "has grace period") {
		pod.DeletionGracePeriodSeconds = new(rapid.Int64Range(0, 1000).Draw(t, "grace period"))
	}

	for range rapid.IntRange(0, 3).Draw(t, "owners") {
		owner := metav1.OwnerReference{Kind: rapid.SampledFrom([]string{"DaemonSet", "ReplicaSet", "Node"}).Draw(t, "kind"), Name: "o"}
		if rapid.Bool().Draw(t, "says whether it controls") {
			owner.Controller = new(rapid.Bool().Draw(t, "controls"))
		}

		pod.OwnerReferences = append(pod.OwnerReferences, owner)
	}

	kinds := []corev1.PodConditionType{corev1.PodReady, corev1.PodScheduled, corev1.DisruptionTarget}
	statuses := []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown}

	for _, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 0, 3, rapid.ID[corev1.PodConditionType]).Draw(t, "conditions") {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: kind, Status: rapid.SampledFrom(statuses).Draw(t, "status"),
		})
	}

	return pod
}

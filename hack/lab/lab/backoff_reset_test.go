// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

// backOffDeletes is after how many deletes a back-off is long enough to be told
// from none on a slow machine: after 1, 2, 4, 8 and 16 s, it is 32 s now.
const backOffDeletes = 6

func TestBackoffResetTouchesNoPodAndTheNextDeleteIsImmediate(t *testing.T) {
	const device = "example.com/accelerator"

	s := newScenario(t, "backoff-reset")
	daemonSet, control := s.apply("reset", lab.Requests(device)), s.apply("control", lab.Requests(device))

	good, bad := s.addNode("-good", lab.WithDeviceAfter(device, 0)), s.addNode("-bad", lab.WithDeviceAfter(device, never))
	good.awaitReadyPod("reset")
	good.awaitReadyPod("control")

	bad.awaitBackOff(control.Name, backOffDeletes-1)
	failed := bad.awaitBackOff(daemonSet.Name, backOffDeletes)

	// The estimate has to hold the truth, which is 32 s after the last delete.
	deletes := bad.controllerDeletes(daemonSet.Name)
	last := deletes[len(deletes)-1].Time
	waits := s.backoffStatus(daemonSet.Name)
	require.Len(t, waits, 1)
	assert.Equal(t, failed.Name, waits[0].Pod)
	assert.Equal(t, backOffDeletes, waits[0].Deletes, "the events tell of every delete")
	require.NotNil(t, waits[0].NextAttempt)
	assert.True(t, waits[0].NextAttempt.Earliest.Before(last.Add(33*time.Second)))
	assert.WithinDuration(t, last.Add(32*time.Second), waits[0].NextAttempt.Likely, 3*time.Second)
	assert.True(t, waits[0].NextAttempt.Latest.After(last.Add(32*time.Second)))

	before, revisions := s.podsOf(good), s.revisions(daemonSet)
	held := bad.failedPods(control.Name)

	var out bytes.Buffer
	require.NoError(t, cli.ResetBackoff(s.ctx, cli.BackoffResetOptions{Access: s.kubectl(), DaemonSet: s.name + "/reset", DryRun: true}, &out))
	assert.Contains(t, out.String(), "nothing was changed (dry run)")
	assert.Equal(t, daemonSet.Generation, s.daemonSet("reset").Generation)

	require.NoError(t, cli.ResetBackoff(s.ctx, cli.BackoffResetOptions{Access: s.kubectl(), DaemonSet: s.name + "/reset"}, &out))
	assert.Contains(t, out.String(), "its back-offs begin anew")
	s.awaitGone(failed)

	if assert.Len(t, held, 1, "the control has a Failed pod") {
		assert.Equal(t, held[0].UID, bad.failedPods(control.Name)[0].UID, "the control waits on")
	}

	after := s.daemonSet("reset")
	assert.Equal(t, daemonSet.Generation+2, after.Generation)
	assert.Equal(t, daemonSet.Spec, after.Spec, "the value is restored")
	assert.True(t, slices.ContainsFunc(after.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == kubebackoff.FieldManager && strings.Contains(entry.FieldsV1.GetRawString(), "f:revisionHistoryLimit")
	}), "it is known who has written the field")
	assert.Equal(t, before, s.podsOf(good), "no pod was touched")
	assert.Equal(t, revisions, s.revisions(daemonSet), "no revision was made or deleted")
}

func TestBackoffResetRestoresAfterAnInterruption(t *testing.T) {
	s := newScenario(t, "backoff-interrupt")
	s.apply("cni")
	node := s.addNode("")
	s.awaitReady()

	before, pods := s.daemonSet("cni"), s.podsOf(node)

	watcher, err := s.cluster.Client().AppsV1().DaemonSets(s.name).Watch(s.ctx, metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	require.NoError(t, err)
	t.Cleanup(watcher.Stop)

	// Ctrl-C as soon as the value is another one.
	ctx, interrupt := context.WithCancel(s.ctx)

	go func() {
		for event := range watcher.ResultChan() {
			if changed, ok := event.Object.(*appsv1.DaemonSet); ok && changed.Generation > before.Generation {
				interrupt()

				return
			}
		}
	}()

	err = cli.ResetBackoff(ctx, cli.BackoffResetOptions{Access: s.kubectl(), DaemonSet: s.name + "/cni"}, &bytes.Buffer{})
	if err != nil {
		require.ErrorContains(t, err, "interrupted")
	}

	interrupt()

	after := s.daemonSet("cni")
	assert.Equal(t, before.Generation+2, after.Generation)
	assert.Equal(t, before.Spec, after.Spec, "the value is restored")
	assert.Equal(t, pods, s.podsOf(node))
}

func TestBackoffResetRefuses(t *testing.T) {
	s := newScenario(t, "backoff-refuse")
	s.apply("cni")

	reset := func(daemonSet string) error {
		return cli.ResetBackoff(s.ctx, cli.BackoffResetOptions{Access: s.kubectl(), DaemonSet: daemonSet}, &bytes.Buffer{})
	}

	err := reset(s.name + "/nothing")
	require.ErrorContains(t, err, "there is no DaemonSet "+s.name+"/nothing")
	assert.Equal(t, cli.ExitUsage, cli.ExitCode(err))

	// One that is on its way out.
	client := s.cluster.Client().AppsV1().DaemonSets(s.name)
	_, err = client.Patch(s.ctx, "cni", types.MergePatchType, []byte(`{"metadata":{"finalizers":["`+lab.HoldFinalizer+`"]}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, client.Delete(s.ctx, "cni", metav1.DeleteOptions{}))

	before := s.daemonSet("cni").Generation
	require.ErrorContains(t, reset(s.name+"/cni"), "it is being deleted")
	assert.Equal(t, before, s.daemonSet("cni").Generation)

	_, err = client.Patch(s.ctx, "cni", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
}

func (s *scenario) daemonSet(name string) *appsv1.DaemonSet {
	found, err := s.cluster.Client().AppsV1().DaemonSets(s.name).Get(s.ctx, name, metav1.GetOptions{})
	require.NoError(s.t, err)

	return found
}

// podsOf are the pods on a node, by UID, with what would change if they were touched.
func (s *scenario) podsOf(n *node) map[types.UID]string {
	found := map[types.UID]string{}

	for _, pod := range s.pods() {
		if pod.Spec.NodeName != n.Name() {
			continue
		}

		text := pod.Name + " " + pod.ResourceVersion
		for _, status := range pod.Status.ContainerStatuses {
			text += " " + status.ContainerID
			assert.Zero(s.t, status.RestartCount)
		}

		found[pod.UID] = text
	}

	return found
}

// revisions are the ControllerRevisions of a DaemonSet, with their versions.
func (s *scenario) revisions(daemonSet *appsv1.DaemonSet) []string {
	list, err := s.cluster.Client().AppsV1().ControllerRevisions(s.name).List(s.ctx, metav1.ListOptions{})
	require.NoError(s.t, err)

	var found []string

	for _, revision := range list.Items {
		if metav1.IsControlledBy(&revision, daemonSet) {
			found = append(found, strings.Join([]string{revision.Name, revision.ResourceVersion}, " "))
		}
	}

	return found
}

// awaitReadyPod waits until the DaemonSet has a Ready pod on the node.
func (n *node) awaitReadyPod(daemonSet string) {
	n.eventually("a Ready pod of DaemonSet "+daemonSet+" on node "+n.Name(), func() bool {
		for _, pod := range n.pods() {
			owner := metav1.GetControllerOf(&pod)
			if owner != nil && owner.Name == daemonSet && pod.Spec.NodeName == n.Name() && lab.IsPodReady(&pod) && pod.Status.Phase == corev1.PodRunning {
				return true
			}
		}

		return false
	})
}

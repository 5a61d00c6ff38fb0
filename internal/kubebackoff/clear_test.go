// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
	"github.com/talos-rebound/rebound/internal/recovery"
)

// working is a node whose kubelet has reported a minute after start.
func working(changes ...func(*kubebackoff.Node)) kubebackoff.Node {
	node := kubebackoff.Node{Exists: true, Posting: true, Node: recovery.Node{BootID: "boot", ReportedAt: after(60)}}

	for _, change := range changes {
		change(&node)
	}

	return node
}

func rejected(pod *recovery.Pod) {
	pod.Reason, pod.Message = "UnexpectedAdmissionError", "Pod was rejected: no device"
}

// outcomes runs over the pods, all of whose deletes succeed, and returns what became of each by name.
func outcomes(node kubebackoff.Node, pods ...recovery.Pod) map[string]kubebackoff.Result {
	clearing := kubebackoff.NewClearing("worker-a", pods)

	for {
		verdict := clearing.Next(node, after(4000))
		if verdict == nil {
			break
		}

		clearing.Done(verdict, nil)
	}

	found := map[string]kubebackoff.Result{}
	for _, result := range clearing.Results() {
		found[result.Pod.Name] = result
	}

	return found
}

func TestClearDeletesWhatTheNodeWouldDelete(t *testing.T) {
	t.Parallel()

	of := func(daemonSet string) func(*recovery.Pod) {
		return func(pod *recovery.Pod) { pod.Owner.Name = daemonSet }
	}

	got := outcomes(working(),
		failed("left", after(0), of("left")),
		failed("killed", after(0), of("killed"), func(pod *recovery.Pod) { pod.Reason, pod.KubeletDisrupted = "", true }),
		failed("rejected", after(0), of("rejected"), rejected),
		failed("evicted", after(0), of("evicted"), func(pod *recovery.Pod) { pod.Reason = "Evicted" }),
		failed("opted-out", after(0), of("opted-out"), func(pod *recovery.Pod) { pod.OptedOut = true }),
		failed("ending", after(0), of("ending"), func(pod *recovery.Pod) { pod.Deleting = true }),
		failed("foreign", after(0), of("foreign"), func(pod *recovery.Pod) { pod.NodeName = "worker-b" }),
		failed("kruise", after(0), of("kruise"), func(pod *recovery.Pod) { pod.Owner.Group = recovery.GroupKruise }),
		failed("crd", after(0), of("crd"), func(pod *recovery.Pod) { pod.Owner.Group = "example.com" }),
		failed("late", after(60), of("late")),
	)

	for name, want := range map[string]struct {
		outcome kubebackoff.Outcome
		says    string
	}{
		"left":      {kubebackoff.Deleted, "left behind by a shutdown (NodeShutdown)"},
		"killed":    {kubebackoff.Deleted, "left behind by a shutdown (TerminationByKubelet)"},
		"rejected":  {kubebackoff.Deleted, "rejected by the kubelet in this boot"},
		"kruise":    {kubebackoff.Deleted, "left behind"},
		"evicted":   {kubebackoff.Kept, "failed in this boot for another reason (Evicted)"},
		"opted-out": {kubebackoff.Kept, "opted out"},
		"ending":    {kubebackoff.Kept, "is being deleted already"},
		"foreign":   {kubebackoff.Kept, "bound to another node"},
		"crd":       {kubebackoff.Kept, "not controlled by a DaemonSet"},
		"late":      {kubebackoff.Kept, "held until the kubelet has reported"},
	} {
		assert.Equal(t, want.outcome, got[name].Outcome, name)
		assert.Contains(t, got[name].Reason, want.says, name)
	}
}

func TestClearLeavesANodeAloneThatMayBeGoingDown(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		change func(*kubebackoff.Node)
		says   string
	}{
		"there is none":             {func(node *kubebackoff.Node) { *node = kubebackoff.Node{} }, "there is no Node of that name"},
		"it has never registered":   {func(node *kubebackoff.Node) { node.BootID = "" }, "has never registered"},
		"it is missed":              {func(node *kubebackoff.Node) { node.Posting = false }, "stopped posting"},
		"it is shutting down":       {func(node *kubebackoff.Node) { node.ShuttingDown = true }, "says that the node is shutting down"},
		"it has not reported since": {func(node *kubebackoff.Node) { node.ReportedAt = after(0) }, "held until the kubelet has reported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := outcomes(working(tc.change), failed("left", after(0)))["left"]
			assert.Equal(t, kubebackoff.Kept, got.Outcome)
			assert.Contains(t, got.Reason, tc.says)
		})
	}
}

func TestClearHoldsAPodOfTheFuture(t *testing.T) {
	t.Parallel()

	// The node's clock is ahead of this machine's, and its kubelet may be shutting down.
	got := outcomes(working(), failed("left", after(5000)))["left"]
	assert.Equal(t, kubebackoff.Kept, got.Outcome)
	assert.Contains(t, got.Reason, "held")
}

func TestClearDeletesOneRejectedPodInARun(t *testing.T) {
	t.Parallel()

	got := outcomes(working(), failed("a", after(0), rejected), failed("b", after(1), rejected), failed("c", after(2), rejected))
	assert.Equal(t, kubebackoff.Deleted, got["a"].Outcome)
	assert.Equal(t, kubebackoff.Kept, got["b"].Outcome)
	assert.Equal(t, kubebackoff.Kept, got["c"].Outcome)
	assert.Contains(t, got["b"].Reason, "one was deleted in this run")

	// What a surge has left in a shutdown is more than one, up to the cap of the rules.
	surge := make([]recovery.Pod, recovery.DefaultRejectionCap+2)
	for i := range surge {
		surge[i] = failed(string(rune('a'+i)), after(0))
	}

	count := map[kubebackoff.Outcome]int{}
	for _, result := range outcomes(working(), surge...) {
		count[result.Outcome]++
	}

	assert.Equal(t, map[kubebackoff.Outcome]int{kubebackoff.Deleted: recovery.DefaultRejectionCap, kubebackoff.Kept: 2}, count)
}

func TestClearTriesEveryPodOnce(t *testing.T) {
	t.Parallel()

	pods := schema.GroupResource{Resource: "pods"}

	for name, tc := range map[string]struct {
		answer error
		want   kubebackoff.Outcome
	}{
		"gone":          {apierrors.NewNotFound(pods, "left"), kubebackoff.Gone},
		"another of it": {apierrors.NewConflict(pods, "left", errors.New("uid")), kubebackoff.Gone},
		"not allowed":   {apierrors.NewForbidden(pods, "left", errors.New("no")), kubebackoff.Failed},
		"not this time": {apierrors.NewTooManyRequests("later", 1), kubebackoff.Failed},
		"no answer":     {errors.New("connection refused"), kubebackoff.Failed},
		"all went well": {nil, kubebackoff.Deleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			clearing := kubebackoff.NewClearing("worker-a", []recovery.Pod{failed("left", after(0))})
			verdict := clearing.Next(working(), after(120))
			require.NotNil(t, verdict)

			clearing.Done(verdict, tc.answer)
			assert.Nil(t, clearing.Next(working(), after(900)))
			require.Len(t, clearing.Results(), 1)
			assert.Equal(t, tc.want, clearing.Results()[0].Outcome)
		})
	}
}

func TestClearLooksAtTheNodeBeforeEveryDelete(t *testing.T) {
	t.Parallel()

	another := func(pod *recovery.Pod) { pod.Owner.Name = "another" }
	clearing := kubebackoff.NewClearing("worker-a", []recovery.Pod{failed("a", after(0)), failed("b", after(0), another)})

	verdict := clearing.Next(working(), after(120))
	require.NotNil(t, verdict)
	clearing.Done(verdict, nil)

	assert.Nil(t, clearing.Next(working(func(node *kubebackoff.Node) { node.ShuttingDown = true }), after(121)))
}

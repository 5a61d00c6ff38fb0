// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestNodeMayReportOnItselfButNotTaint(t *testing.T) {
	s := newScenario(t, "report")
	node, other := s.addNode("-a"), s.addNode("-b")
	nodes := node.client().CoreV1().Nodes()

	patch := func(name, what string, subresources ...string) error {
		_, err := nodes.Patch(s.ctx, name, types.StrategicMergePatchType, []byte(what), metav1.PatchOptions{}, subresources...)

		return err
	}

	report := fmt.Sprintf(`{"metadata":{"annotations":{%q:"{}"}},"status":{"conditions":[{"type":%q,"status":"True","reason":"Recovered"}]}}`,
		specs.NodeAnnotation, specs.NodeCondition)
	taint := `{"spec":{"taints":[{"key":"recovery.talos.dev/pending","effect":"NoSchedule"}]}}`

	require.NoError(t, patch(node.Name(), report, "status"))

	for what, err := range map[string]error{
		"a report on another node": patch(other.Name(), report, "status"),
		"a taint":                  patch(node.Name(), taint),
		"a taint on another node":  patch(other.Name(), taint),
	} {
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", what, err)
	}

	// The kubelet writes its status over and over, and leaves alone what is not its own.
	node.awaitReady(corev1.ConditionTrue)

	object, err := nodes.Get(s.ctx, node.Name(), metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "{}", object.Annotations[specs.NodeAnnotation])
	assert.True(t, slices.ContainsFunc(object.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == specs.NodeCondition && condition.Status == corev1.ConditionTrue
	}))
}

func TestTwoAgentsOnOneNodeDoNoHarm(t *testing.T) {
	s := newScenario(t, "agents")
	node := s.addNode("", withAgent(t, platform.Kubeadm))
	second := node.addSecondAgent()

	for i := range 5 {
		s.apply(fmt.Sprintf("daemon-%d", i))
	}

	s.awaitReady()
	s.suspendBackOff()

	for range 2 {
		require.NoError(t, node.Stop(s.ctx))

		pods := s.pods()
		left := make([]string, 0, len(pods))

		for _, pod := range pods {
			assert.Equal(t, corev1.PodFailed, pod.Status.Phase)
			left = append(left, pod.Name)
		}

		before := len(node.deleted())

		require.NoError(t, node.Start(s.ctx))
		s.awaitReady()

		one, two := node.awaitPhase(specs.PhaseRecovered).Counts, second.awaitPhase(specs.PhaseRecovered).Counts
		t.Logf("one found %d and deleted %d, the other found %d and deleted %d", one.Found, one.Deleted, two.Found, two.Deleted)

		// The API server tells both that they have deleted a pod if they ask at the same moment.
		names := node.deleted()[before:]
		assert.Len(t, names, one.Deleted+two.Deleted)
		slices.Sort(names)
		assert.ElementsMatch(t, left, slices.Compact(names))
	}

	// Both say the same, and have no quarrel about it.
	node.awaitReport(func(report specs.NodeReport) bool { return report.Phase == specs.PhaseRecovered })
	assertSilent(t, node)
}

// addSecondAgent gives the node, which has an agent of kubeadm, another one.
func (n *node) addSecondAgent() *node {
	const name = "second"

	folder := filepath.Join(n.Root(), "etc", "kubernetes", "manifests")
	content, err := os.ReadFile(filepath.Join(folder, lab.AgentPod+".yaml"))
	require.NoError(n.t, err)

	var pod corev1.Pod

	require.NoError(n.t, yaml.UnmarshalStrict(content, &pod))

	pod.Name = name
	args := &pod.Spec.Containers[0].Args
	*args = append(*args, "--socket=/run/rebound/"+name+".sock", "--metrics-listen=127.0.0.1:0")

	content, err = yaml.Marshal(pod)
	require.NoError(n.t, err)
	require.NoError(n.t, os.WriteFile(filepath.Join(folder, name+".yaml"), content, 0o600))

	local, err := talosapi.OpenLocal(filepath.Join(filepath.Dir(n.AgentSocket()), name+".sock"), true)
	require.NoError(n.t, err)
	n.t.Cleanup(func() { assert.NoError(n.t, local.Close()) })

	return n.seenBy(func() (state.State, error) { return local, nil })
}

// seenBy returns the node as another rebound on it sees it.
func (n *node) seenBy(open func() (state.State, error)) *node {
	return &node{Node: n.Node, scenario: n.scenario, open: open}
}

func TestAgentGivesWayToMachined(t *testing.T) {
	s := newScenario(t, "yield")
	node := s.addNode("", withAgent(t, platform.Talos), lab.WithRebound(lab.SettleTime(time.Second), lab.ReportOnNode()))
	machined := node.seenBy(node.COSI)
	daemonSet := s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()
	machined.awaitPhase(specs.PhaseRecovered)

	words := fmt.Sprintf("machined of node %q has rebound, and this agent gives way to it", node.Name())

	for boot := range 2 {
		left := node.pod(daemonSet)
		s.reboot()

		assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, machined.awaitPhase(specs.PhaseRecovered).Counts)

		status := node.awaitPhase(specs.PhaseDisabled)
		assert.Equal(t, words, status.Message)
		assert.Equal(t, "machined", status.Obstacle)
		assert.Zero(t, status.Counts)
		assert.Len(t, node.deletes(), boot+1)
		assert.Contains(t, node.deleted(), left.Name)

		report, _ := node.awaitReport(func(report specs.NodeReport) bool { return report.Phase == specs.PhaseRecovered })
		assert.Equal(t, specs.HostMachined, report.Host)
	}

	log, err := node.AgentLog()
	require.NoError(t, err)
	assert.Contains(t, log, strings.ReplaceAll(words, `"`, `\"`))
}

func TestAgentThatRunsDryOnlySaysWhatItWouldDelete(t *testing.T) {
	s := newScenario(t, "dry")
	node := s.addNode("", withAgent(t, platform.Kubeadm, "--dry-run"))
	daemonSet := s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()

	left := node.pod(daemonSet)

	require.NoError(t, node.Reboot(s.ctx))

	require.Eventually(t, func() bool {
		log, err := node.AgentLog()
		require.NoError(t, err)

		return strings.Contains(log, "would delete Failed DaemonSet pod") && strings.Contains(log, left.Name)
	}, time.Minute, 100*time.Millisecond)

	node.awaitReady(corev1.ConditionTrue)
	assert.Equal(t, left.UID, node.pod(daemonSet).UID)

	for _, request := range node.requests() {
		assert.Contains(t, []string{"get", "list", "watch"}, request.Verb, request.URI)
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/jsonpath"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kubecheck"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	thisBoot    = "0b9e7b5c-5f0e-4d8b-9a6e-3f1d2c4b5a69"
	earlierBoot = "7c1d8f4a-2a63-4b1f-8d0c-9e8f7a6b5c4d"
)

func report(bootID string, phase specs.Phase, message string) specs.NodeReport {
	return specs.NodeReport{Host: specs.HostAgent, BootID: bootID, Phase: phase, Message: message}
}

// worker is a Node in thisBoot that carries a report; recovered is one that is whole.
func worker(name string, report specs.NodeReport) *corev1.Node {
	return ctest.Report(ctest.KubernetesNode(name, thisBoot), report)
}

func recovered(name string) *corev1.Node {
	return worker(name, report(thisBoot, specs.PhaseRecovered, "DaemonSets: 1 recovered"))
}

// set changes a condition of a Node.
func set(node *corev1.Node, kind corev1.NodeConditionType, status corev1.ConditionStatus, message string) *corev1.Node {
	for i := range node.Status.Conditions {
		if condition := &node.Status.Conditions[i]; condition.Type == kind {
			condition.Status, condition.Message = status, message
		}
	}

	return node
}

func open(t *testing.T, api *ctest.Kubernetes, names ...string) *kubecheck.Cluster {
	t.Helper()

	cluster, err := kubecheck.Open(api.Kubeconfig(t), "", names)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)

	return cluster
}

func TestJudgeANode(t *testing.T) {
	t.Parallel()

	bare := recovered("worker")
	bare.Status.Conditions = nil

	for name, tc := range map[string]struct {
		node    *corev1.Node
		verdict check.Status
		reason  string
	}{
		"recovered":      {recovered("worker"), check.StatusPassed, "DaemonSets: 1 recovered"},
		"without report": {ctest.KubernetesNode("worker", thisBoot), check.StatusSkipped, "it is without rebound"},
		"without report, and down": {
			set(ctest.KubernetesNode("worker", thisBoot), corev1.NodeReady, corev1.ConditionUnknown, "gone"), check.StatusSkipped, "it is without rebound",
		},
		"recovered in an earlier boot": {
			worker("worker", report(earlierBoot, specs.PhaseRecovered, "")), check.StatusWaiting, "its report is of an earlier boot",
		},
		"recovered, no boot id yet": {
			ctest.Report(ctest.KubernetesNode("worker", ""), report("", specs.PhaseRecovered, "")), check.StatusWaiting, "its report may be of an earlier boot",
		},
		"recovering": {
			worker("worker", report(thisBoot, specs.PhaseRecovering, "kube-system/cilium: waiting")), check.StatusWaiting, "kube-system/cilium: waiting",
		},
		"degraded": {
			worker("worker", report(thisBoot, specs.PhaseDegraded, "kube-system/cilium: denied")), check.StatusFailing, "kube-system/cilium: denied",
		},
		"shutting down": {
			set(recovered("worker"), corev1.NodeReady, corev1.ConditionFalse, "node is shutting\ndown"),
			check.StatusWaiting, "its Node is not Ready: node is shutting down",
		},
		"not heard of": {
			set(recovered("worker"), corev1.NodeReady, corev1.ConditionUnknown, "Kubelet stopped posting node status."),
			check.StatusFailing, "unreachable: Kubelet stopped posting node status.",
		},
		"with much to say": {
			set(recovered("worker"), corev1.NodeReady, corev1.ConditionFalse, strings.Repeat("ä", 1000)),
			check.StatusWaiting, "its Node is not Ready: " + strings.Repeat("ä", 200) + "…",
		},
		"without conditions": {bare, check.StatusWaiting, "its Node is not Ready: it does not say why"},
		"whose condition is False": {
			set(recovered("worker"), specs.NodeCondition, corev1.ConditionFalse, "boot "+thisBoot+": "),
			check.StatusWaiting, "the condition of its Node does not say what its report does",
		},
		"whose condition is of an earlier boot": {
			set(recovered("worker"), specs.NodeCondition, corev1.ConditionTrue, "boot "+earlierBoot+": DaemonSets: 1 recovered"),
			check.StatusWaiting, "the condition of its Node does not say what its report does",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := ctest.NewKubernetes(t)
			api.Set(tc.node)

			verdict, err := open(t, api).Judge(t.Context())
			require.NoError(t, err)
			require.Len(t, verdict.Nodes, 1)
			assert.Equal(t, tc.verdict, verdict.Nodes[0].Status)
			assert.Equal(t, tc.reason, verdict.Nodes[0].Reason)
			assert.Equal(t, check.Node{Name: "worker", Address: "10.6.0.2"}, verdict.Nodes[0].Answer.Node)
		})
	}
}

func TestJudgeSelectsNodesByName(t *testing.T) {
	t.Parallel()

	api := ctest.NewKubernetes(t)
	api.Set(recovered("worker-a"))
	api.Set(worker("worker-b", report(earlierBoot, specs.PhaseRecovered, "")))

	for _, tc := range []struct {
		names  []string
		reason string
	}{
		{nil, "worker-b: its report is of an earlier boot"},
		{[]string{"worker-a"}, "1 node recovered"},
		{[]string{"worker-a", "worker-c"}, "worker-c: unreachable: there is no Node of that name"},
	} {
		verdict, err := open(t, api, tc.names...).Judge(t.Context())
		require.NoError(t, err)
		assert.Equal(t, tc.reason, verdict.Reason)
	}

	verdict, err := open(t, ctest.NewKubernetes(t)).Judge(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "there are no nodes to check", verdict.Reason)
}

func TestJudgeTellsWhyItCannot(t *testing.T) {
	t.Parallel()

	api := ctest.NewKubernetes(t)
	cluster := open(t, api)

	for _, code := range []int{http.StatusForbidden, http.StatusUnauthorized} {
		api.Refuse(code)

		_, err := cluster.Judge(t.Context())
		require.ErrorAs(t, err, new(kubecheck.RefusedError))
		assert.ErrorContains(t, err, "failed to list the Nodes: ")
		assert.ErrorContains(t, err, "it takes the rights to list and to watch nodes")
	}

	api.Stop()

	_, err := cluster.Judge(t.Context())
	require.ErrorContains(t, err, "failed to list the Nodes: ")
	assert.ErrorContains(t, err, "connection refused")
	assert.NotErrorAs(t, err, new(kubecheck.RefusedError))
}

func TestOpenSaysWhatIsWrongWithAKubeconfig(t *testing.T) {
	t.Parallel()

	const contexts = "contexts: [{name: one, context: {cluster: c}}, {name: two, context: {cluster: missing}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"

	for name, tc := range map[string]struct{ content, context, says string }{
		"no YAML":           {"{", "", "failed to read kubeconfig"},
		"nothing":           {"", "", "has no contexts; name another with --kubeconfig"},
		"no current":        {contexts, "", `has no current context; choose one with --kube-context: "one", "two"`},
		"another context":   {contexts, "three", `context "three" is not in kubeconfig`},
		"a missing cluster": {contexts, "two", `context "two" of kubeconfig`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			path := filepath.Join(t.TempDir(), "kubeconfig")
			require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o600))

			_, err := kubecheck.Open(path, tc.context, nil)
			require.ErrorContains(t, err, tc.says)
			require.ErrorContains(t, err, path)
			assert.NotContains(t, err.Error(), "\n")
		})
	}

	_, err := kubecheck.Open("missing", "", nil)
	assert.EqualError(t, err, `failed to read kubeconfig "missing": open missing: no such file or directory; name another with --kubeconfig`)
}

// TestKubectlShowsWhatNodesSay has the columns that the README shows for kubectl get nodes.
func TestKubectlShowsWhatNodesSay(t *testing.T) {
	t.Parallel()

	const condition = `.status.conditions[?(@.type=="recovery.talos.dev/DaemonSetsRecovered")]`

	for column, want := range map[string]string{
		".metadata.name":          "worker",
		condition + ".status":     "True",
		condition + ".message":    "boot " + thisBoot + ": DaemonSets: 1 recovered",
		".status.nodeInfo.bootID": thisBoot,
	} {
		path := jsonpath.New("column")
		require.NoError(t, path.Parse("{"+column+"}"))

		plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(recovered("worker"))
		require.NoError(t, err)

		var text strings.Builder

		require.NoError(t, path.Execute(&text, plain))
		assert.Equal(t, want, text.String())
	}
}

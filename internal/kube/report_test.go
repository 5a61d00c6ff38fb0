// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// nodeObject serves one Node, and applies patches to it as the API server does.
type nodeObject struct {
	corev1.Node

	patches []string
}

func (n *nodeObject) open(t *testing.T) *kube.Client {
	t.Helper()

	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			assert.Equal(t, "/api/v1/nodes/"+node+"/status", r.URL.Path)

			var patch json.RawMessage

			was, err := json.Marshal(n.Node)
			if assert.NoError(t, err) && assert.NoError(t, json.NewDecoder(r.Body).Decode(&patch)) {
				is, err := strategicpatch.StrategicMergePatch(was, patch, corev1.Node{})
				assert.NoError(t, err)
				assert.NoError(t, json.Unmarshal(is, &n.Node))
			}

			n.patches = append(n.patches, string(patch))
		}

		answer(w, http.StatusOK, &n.Node)
	}).open(t)
}

func TestAReportIsAConditionAndAnAnnotation(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 3, 14, 3, 0, 7, 0, time.UTC)
	report := specs.NodeReport{Host: specs.HostAgent, BootID: "this", Phase: specs.PhaseRecovering, Message: "waiting"}

	n := &nodeObject{}
	n.Annotations = map[string]string{"theirs": "stays"}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "theirs"}}

	client := n.open(t)

	require.NoError(t, client.ReportRecovery(t.Context(), node, report, at))
	require.Len(t, n.Status.Conditions, 2)
	assert.Equal(t, map[string]string{"theirs": "stays", "recovery.talos.dev/status": report.String()}, n.Annotations)
	assert.Contains(t, n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "theirs"})

	condition := func() corev1.NodeCondition {
		for _, condition := range n.Status.Conditions {
			if condition.Type == "recovery.talos.dev/DaemonSetsRecovered" {
				return condition
			}
		}

		return corev1.NodeCondition{}
	}

	assert.Equal(t, "False Recovering boot this: waiting", string(condition().Status)+" "+condition().Reason+" "+condition().Message)
	assert.Equal(t, at, condition().LastTransitionTime.UTC())

	require.NoError(t, client.ReportRecovery(t.Context(), node, report, at.Add(time.Minute)))
	assert.Len(t, n.patches, 1, "it is there already")

	report.Message = "waiting for more"
	require.NoError(t, client.ReportRecovery(t.Context(), node, report, at.Add(time.Minute)))
	assert.Equal(t, at, condition().LastTransitionTime.UTC(), "the status is the same")
	assert.Equal(t, at.Add(time.Minute), condition().LastHeartbeatTime.UTC())

	report.Phase = specs.PhaseRecovered
	require.NoError(t, client.ReportRecovery(t.Context(), node, report, at.Add(time.Hour)))
	assert.Equal(t, at.Add(time.Hour), condition().LastTransitionTime.UTC())
}

func TestAReportOfMachinedComesFirst(t *testing.T) {
	t.Parallel()

	machined := specs.NodeReport{Host: specs.HostMachined, BootID: "this", Phase: specs.PhaseRecovered}
	agent := specs.NodeReport{Host: specs.HostAgent, BootID: "this", Phase: specs.PhaseWaiting}

	n := &nodeObject{}
	n.Status.NodeInfo.BootID = "this"
	client := n.open(t)

	require.NoError(t, client.ReportRecovery(t.Context(), node, agent, time.Now()))
	require.NoError(t, client.ReportRecovery(t.Context(), node, machined, time.Now()))
	require.Equal(t, machined.String(), n.Annotations[specs.NodeAnnotation])

	seen, err := client.Node(t.Context(), node)
	require.NoError(t, err)
	assert.True(t, seen.HasMachined)

	require.NoError(t, client.ReportRecovery(t.Context(), node, agent, time.Now()))
	assert.Equal(t, machined.String(), n.Annotations[specs.NodeAnnotation])

	agent.BootID = "next"
	require.NoError(t, client.ReportRecovery(t.Context(), node, agent, time.Now()))
	assert.Equal(t, agent.String(), n.Annotations[specs.NodeAnnotation], "that was another boot, and may have been another Talos")
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"encoding/json"
	"encoding/pem"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admission "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// A webhook that runs in the cluster is behind kube-proxy and the CNI, and is
// not to be reached while the pods of those are what has Failed.
func TestWebhookThatDoesNotAnswerDelaysTheDeleteOnly(t *testing.T) {
	// It is what a webhook has that does not say otherwise.
	const timeout = 10 * time.Second

	s := newScenario(t, "mute")
	node := s.addNode("", withRebound())
	daemonSet := s.apply("proxy")
	s.awaitReady()
	s.suspendBackOff()

	left := node.pod(daemonSet)

	s.addWebhook(admissionv1.ValidatingWebhook{
		ClientConfig:   serveWebhook(t, func(http.ResponseWriter, *http.Request) { <-t.Context().Done() }),
		FailurePolicy:  new(admissionv1.Ignore),
		TimeoutSeconds: new(int32(timeout.Seconds())),
	})
	require.NoError(t, node.Reboot(s.ctx))

	node.awaitPhase(specs.PhaseRecovered)

	record := node.records()["proxy"]
	assert.GreaterOrEqual(t, record.DeletedAt.Sub(record.AttemptedAt), timeout)

	// The API server asks the webhook twice, and the pod is on its way out after the first time. So the answer comes when
	// the node has recovered, and is counted all the same.
	status := node.awaitStatus(func(status specs.RecoveryStatus) bool { return status.Counts.Deleted == 1 })
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
	assert.Equal(t, specs.PhaseRecovered, status.Phase)

	assert.Len(t, node.deletes(), 1, "one request that lasts, in place of many that are cut off")
	assert.Equal(t, []string{left.Name}, node.deleted())
}

func TestWebhookThatDeniesWithoutACodeIsNamed(t *testing.T) {
	s := newScenario(t, "denial")
	node := s.addNode("", withRebound())
	daemonSet := s.apply("proxy")
	s.awaitReady()
	s.suspendBackOff()

	left := node.pod(daemonSet)

	remove := s.addWebhook(admissionv1.ValidatingWebhook{
		ClientConfig:  serveWebhook(t, denyWithoutCode),
		FailurePolicy: new(admissionv1.Fail),
	})
	require.NoError(t, node.Reboot(s.ctx))

	status := node.awaitPhase(specs.PhaseDegraded)
	assert.Contains(t, status.Message, s.name+"/proxy: cannot delete "+left.Name)
	assert.Contains(t, status.Message, `admission webhook "guard.lab.test" denied the request: not on a Tuesday`)

	remove()

	status = node.awaitPhase(specs.PhaseRecovered)
	assert.Equal(t, specs.Counts{Found: 1, Deleted: 1, Recovered: 1}, status.Counts)
}

// addWebhook asks a webhook about every pod of the namespace that a node wants
// to delete, and returns what ends that.
func (s *scenario) addWebhook(webhook admissionv1.ValidatingWebhook) (remove func()) {
	webhook.Name = "guard.lab.test"
	webhook.SideEffects = new(admissionv1.SideEffectClassNone)
	webhook.AdmissionReviewVersions = []string{"v1"}
	webhook.NamespaceSelector = lab.NamespaceSelector(s.name)
	webhook.MatchConditions = []admissionv1.MatchCondition{{Name: "nodes", Expression: `request.userInfo.groups.exists(g, g == "system:nodes")`}}
	webhook.Rules = []admissionv1.RuleWithOperations{lab.DeletesOfPods()}

	webhooks := s.cluster.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations()

	_, err := webhooks.Create(s.ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Webhooks:   []admissionv1.ValidatingWebhook{webhook},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)

	return func() { require.NoError(s.t, webhooks.Delete(s.ctx, s.name, metav1.DeleteOptions{})) }
}

// serveWebhook serves a webhook, and returns how the API server calls it.
func serveWebhook(t *testing.T, handler http.HandlerFunc) admissionv1.WebhookClientConfig {
	t.Helper()

	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(t.Output(), "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	return admissionv1.WebhookClientConfig{
		URL:      new(server.URL),
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
}

// denyWithoutCode says no, as a webhook does whose author left it at that.
func denyWithoutCode(w http.ResponseWriter, r *http.Request) {
	var review admission.AdmissionReview

	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)

		return
	}

	review.Response = &admission.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "not on a Tuesday"}}

	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(review) //nolint:errcheck // the API server may have gone
}

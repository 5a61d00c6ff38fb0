// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	admission "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

// WebhookName is what a webhook of the lab is called.
const WebhookName = "guard.lab.test"

// Webhook is an admission webhook that serves in this process.
type Webhook struct {
	lab     *Lab
	name    string
	server  *http.Server
	serving sync.WaitGroup
}

// AddWebhook has the API server ask the handler about every pod of the namespace
// that a node wants to delete, unless the webhook has other rules.
func (lab *Lab) AddWebhook(ctx context.Context, namespace string, webhook admissionv1.ValidatingWebhook, handler http.HandlerFunc) (*Webhook, error) {
	listener, err := net.Listen("tcp", loopback.Address+":0")
	if err != nil {
		return nil, fmt.Errorf("failed to listen: %w", err)
	}

	serving := &Webhook{lab: lab, name: namespace, server: &http.Server{
		Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}}

	serving.serving.Go(func() {
		// It returns when the webhook is removed.
		serving.server.ServeTLS(listener, lab.path("serving.crt"), lab.path("serving.key")) //nolint:errcheck // as above
	})

	url := "https://" + listener.Addr().String()

	webhook.Name = WebhookName
	webhook.ClientConfig = admissionv1.WebhookClientConfig{URL: &url, CABundle: lab.authority.CrtPEM}
	webhook.SideEffects = new(admissionv1.SideEffectClassNone)
	webhook.AdmissionReviewVersions = []string{"v1"}
	webhook.NamespaceSelector = NamespaceSelector(namespace)

	if webhook.Rules == nil {
		webhook.Rules = []admissionv1.RuleWithOperations{DeletesOfPods()}
		webhook.MatchConditions = []admissionv1.MatchCondition{{Name: "nodes", Expression: `request.userInfo.groups.exists(g, g == "system:nodes")`}}
	}

	_, err = lab.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Webhooks:   []admissionv1.ValidatingWebhook{webhook},
	}, metav1.CreateOptions{})
	if err != nil {
		serving.close()

		return nil, fmt.Errorf("failed to create webhook: %w", err)
	}

	return serving, nil
}

// Remove takes the webhook back. It may be called again.
func (webhook *Webhook) Remove(ctx context.Context) error {
	err := webhook.lab.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, webhook.name, metav1.DeleteOptions{})

	webhook.close()

	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to delete webhook: %w", err)
	}

	return nil
}

// close ends the server, and what it is still asked.
func (webhook *Webhook) close() {
	webhook.server.Close() //nolint:errcheck // nobody asks any more
	webhook.serving.Wait()
}

// AnswerReview answers an admission review as the webhook's author would have it:
// with a status, which may lack a code, or nil to allow.
func AnswerReview(w http.ResponseWriter, r *http.Request, denial *metav1.Status) {
	var review admission.AdmissionReview

	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)

		return
	}

	review.Response = &admission.AdmissionResponse{UID: review.Request.UID, Allowed: denial == nil, Result: denial}

	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(review) //nolint:errcheck // the API server may have gone
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"

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

	webhook, err := s.cluster.AddWebhook(s.ctx, s.name, admissionv1.ValidatingWebhook{
		FailurePolicy:  new(admissionv1.Ignore),
		TimeoutSeconds: new(int32(timeout.Seconds())),
	}, func(http.ResponseWriter, *http.Request) { <-t.Context().Done() })
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, webhook.Remove(context.Background())) })

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

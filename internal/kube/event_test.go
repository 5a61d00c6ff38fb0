// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

func TestRecordDeletionLeavesAnEventOnTheOwner(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

	for _, tc := range []struct {
		name       string
		owner      recovery.Owner
		apiVersion string
	}{
		{"that is a DaemonSet", failed.Owner, "apps/v1"},
		{
			"that is a DaemonSet of another group",
			recovery.Owner{Group: "apps.kruise.io", Version: "v1alpha1", Kind: "DaemonSet", Name: "cilium", UID: "k6"},
			"apps.kruise.io/v1alpha1",
		},
		{
			"that has no group",
			recovery.Owner{Version: "v1", Kind: "ReplicationController", Name: "cilium", UID: "r7"},
			"v1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			requests := make(chan received, 1)
			client := serve(t, receiving(requests, func(w http.ResponseWriter, _ *http.Request) {
				answer(w, http.StatusCreated, &corev1.Event{})
			})).open(t)

			pod := failed
			pod.Owner = tc.owner

			require.NoError(t, client.RecordDeletion(t.Context(), pod, "the kubelet was shutting down", at))

			got := receive(t, requests, "the request")
			assert.Equal(t, "POST /api/v1/namespaces/kube-system/events", got.Method+" "+got.URL.String())

			var event corev1.Event

			got.decode(t, &event)
			assert.Equal(t, "kube-system", event.Namespace)
			assert.Equal(t, "cilium.", event.GenerateName)
			assert.Equal(t, corev1.ObjectReference{
				APIVersion: tc.apiVersion, Kind: tc.owner.Kind, Namespace: "kube-system", Name: "cilium", UID: event.InvolvedObject.UID,
			}, event.InvolvedObject)
			assert.EqualValues(t, tc.owner.UID, event.InvolvedObject.UID)
			assert.Equal(t, corev1.EventSource{Component: "rebound", Host: node}, event.Source)
			assert.Equal(t, "rebound", event.ReportingController)
			assert.Equal(t, "Normal", event.Type)
			assert.Equal(t, "DeletedFailedPod", event.Reason)
			assert.Equal(t, "deleted Failed pod cilium-x7f2p on node worker-1: the kubelet was shutting down", event.Message)
			assert.True(t, at.Equal(event.FirstTimestamp.Time))
			assert.True(t, at.Equal(event.LastTimestamp.Time))
			assert.EqualValues(t, 1, event.Count)
		})
	}
}

func TestRecordDeletionFails(t *testing.T) {
	t.Parallel()

	events := schema.GroupResource{Resource: "events"}
	client := serve(t, refusing(apierrors.NewForbidden(events, "", errors.New("being terminated")))).open(t)

	err := client.RecordDeletion(t.Context(), failed, "", time.Time{})
	require.ErrorContains(t, err, `failed to create an event for the deleted pod "kube-system/cilium-x7f2p": `)
	assert.ErrorContains(t, err, "being terminated")
	assert.True(t, kube.IsRefused(err))
}

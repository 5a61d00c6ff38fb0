// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

// failed is the pod that is deleted.
var failed = recovery.Pod{
	Namespace: "kube-system", Name: "cilium-x7f2p", UID: "0b8cbb4e-7a34-4f4c-9f6e-0e1b0a5d9f01", NodeName: node,
	Owner: recovery.Owner{Group: "apps", Version: "v1", Kind: "DaemonSet", Name: "cilium", UID: "d5"},
}

func TestDeletePodDeletesWhatWasSeen(t *testing.T) {
	t.Parallel()

	received := make(chan received, 1)
	client := serve(t, receiving(received, succeeding)).open(t)

	require.NoError(t, client.DeletePod(t.Context(), failed))

	got := receive(t, received, "the request")
	assert.Equal(t, "DELETE /api/v1/namespaces/kube-system/pods/cilium-x7f2p", got.Method+" "+got.URL.String())
	assert.Equal(t, "rebound", got.UserAgent())
	assert.Equal(t, runtime.ContentTypeProtobuf, got.Header.Get("Content-Type"))
	assert.Equal(t, runtime.ContentTypeProtobuf+",application/json", got.Header.Get("Accept"))

	var options metav1.DeleteOptions

	got.decode(t, &options)
	assert.Equal(t, &metav1.Preconditions{UID: new(types.UID(failed.UID))}, options.Preconditions)
	assert.Nil(t, options.GracePeriodSeconds)
}

func TestDeletePodFails(t *testing.T) {
	t.Parallel()

	podKind := schema.GroupKind{Kind: "Pod"}

	for _, tc := range []struct {
		name                    string
		err                     *apierrors.StatusError
		gone, refused, identity bool
	}{
		{"when the pod is gone", apierrors.NewNotFound(pods, failed.Name), true, false, false},
		{
			"when another pod has its name",
			apierrors.NewConflict(pods, failed.Name, errors.New("the UID in the precondition differs")), true, false, false,
		},
		{
			"when the pod is not the node's",
			apierrors.NewForbidden(pods, failed.Name, errors.New("not yours")), false, true, false,
		},
		{"when the pod is invalid", apierrors.NewInvalid(podKind, failed.Name, nil), false, true, false},
		{"when the request is malformed", apierrors.NewBadRequest("no"), false, true, false},
		{"when it may not be deleted at all", apierrors.NewMethodNotSupported(pods, "delete"), false, true, false},
		{"when a webhook denies without a code", denied(http.StatusBadRequest, ""), false, true, false},
		{"when a webhook denies as if the pod were gone", denied(http.StatusNotFound, metav1.StatusReasonNotFound), false, true, false},
		{"when a webhook denies as if another pod had its name", denied(http.StatusConflict, metav1.StatusReasonConflict), false, true, false},
		{"when a webhook denies as if it did not know us", denied(http.StatusUnauthorized, metav1.StatusReasonUnauthorized), false, true, false},
		{"when a webhook denies as if it were broken", denied(http.StatusInternalServerError, ""), false, true, false},
		{"when a policy denies as if it did not know us", &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized,
			Message: `pods "cilium" is forbidden: ValidatingAdmissionPolicy 'guard' with binding 'all' denied request: no`,
		}}, false, true, false},
		{"when the server gave up waiting for us", apierrors.NewGenericServerResponse(http.StatusRequestTimeout, "delete", pods, "", "", 0, true), false, false, false},
		{"when the certificate is not accepted", apierrors.NewUnauthorized("who?"), false, false, true},
		{"when the server is broken", apierrors.NewInternalError(errors.New("etcd")), false, false, false},
		{"when the server is starting", apierrors.NewServiceUnavailable("starting"), false, false, false},
		{"when there are too many requests", apierrors.NewTooManyRequests("later", 1), false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			err := serve(t, refusing(tc.err)).open(t).DeletePod(t.Context(), failed)

			require.ErrorContains(t, err, `failed to delete pod "kube-system/cilium-x7f2p": `)
			assert.ErrorContains(t, err, tc.err.Error())
			assert.Equal(t, tc.gone, kube.IsGone(err))
			assert.Equal(t, tc.refused, kube.IsRefused(err))
			assert.Equal(t, tc.identity, kube.IsIdentity(err))
		})
	}
}

// denied is how the API server puts a webhook's answer.
func denied(code int32, reason metav1.StatusReason) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: `admission webhook "guard.example.com" denied the request: not now`,
	}}
}

// The caller looks before every request whether it may still be sent.
func TestDeletePodSendsOneRequestEvenIfToldToComeBack(t *testing.T) {
	t.Parallel()

	var requests atomic.Int32

	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Retry-After", "0")
		refuse(w, apierrors.NewTooManyRequests("later", 0))
	}).open(t)

	err := client.DeletePod(t.Context(), failed)
	require.ErrorContains(t, err, "later")
	assert.False(t, kube.IsGone(err) || kube.IsRefused(err) || kube.IsIdentity(err))
	assert.EqualValues(t, 1, requests.Load())
}

// The API server gives a delete 34 s, webhooks included (requestTimeoutUpperBound of k8s.io/apiserver 1.36).
func TestDeletePodWaitsForTheServersOwnTimeout(t *testing.T) {
	t.Parallel()

	const answerTime = 34 * time.Second

	path := serve(t, succeeding).kubeconfig(t)

	synctest.Test(t, func(t *testing.T) {
		client := open(t, path)
		assert.Greater(t, client.AnswerTimeout(), answerTime)

		require.NoError(t, client.SetTransport(direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(answerTime)
			succeeding(w, r)
		})}))
		assert.NoError(t, client.DeletePod(t.Context(), failed))
	})
}

func TestDeletePodEndsWithItsContext(t *testing.T) {
	t.Parallel()

	handler, arrived := hanging()
	client := serve(t, handler).open(t)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() { ended <- client.DeletePod(ctx, failed) }()

	receive(t, arrived, "the request")
	cancel()

	err := receive(t, ended, "the end of the request")
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, kube.IsGone(err) || kube.IsRefused(err) || kube.IsIdentity(err))
}

// received is a request and its body.
type received struct {
	*http.Request

	body []byte
}

// receiving tells of the requests that it hands on.
func receiving(to chan<- received, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}

		to <- received{Request: r, body: body}

		handler(w, r)
	}
}

func (r received) decode(t *testing.T, into runtime.Object) {
	t.Helper()

	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	require.True(t, ok)

	_, _, err := info.Serializer.Decode(r.body, nil, into)
	require.NoError(t, err)
}

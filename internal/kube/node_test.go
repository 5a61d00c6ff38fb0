// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

func TestNodeIsWhatTheKubeletHasPosted(t *testing.T) {
	t.Parallel()

	for _, bootID := range []string{"8f0c0a8e-6f0e-4d5e-9a51-5a3b1e0c7d11", ""} {
		requests := make(chan *http.Request, 1)

		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			requests <- r

			nodeWith(bootID)(w, r)
		}).open(t)

		got, err := client.Node(t.Context(), node)
		require.NoError(t, err)
		assert.Equal(t, recovery.Node{BootID: bootID}, got)

		request := receive(t, requests, "the request")
		assert.Equal(t, "GET /api/v1/nodes/"+node, request.Method+" "+request.URL.String())
		assert.Equal(t, "rebound", request.UserAgent())
		assert.Equal(t, 2, request.ProtoMajor)
	}
}

func TestNodeTellsAShutdown(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 3, 14, 3, 0, 7, 0, time.UTC)

	for _, tc := range []struct {
		name, message string
		status        corev1.ConditionStatus
		want          bool
	}{
		{"that has begun", "node is shutting down", corev1.ConditionFalse, true},
		{"among other things", "[container runtime network not ready, node is shutting down]", corev1.ConditionFalse, true},
		{"from any other reason not to be Ready", "container runtime network not ready", corev1.ConditionFalse, false},
		{"from a node that is up", "kubelet is posting ready status", corev1.ConditionTrue, false},
		{"from a node that is not heard of", "Kubelet stopped posting node status.", corev1.ConditionUnknown, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				object := &corev1.Node{}
				object.Status.NodeInfo.BootID = "this"
				object.Status.Conditions = []corev1.NodeCondition{
					{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, LastHeartbeatTime: metav1.NewTime(at.Add(time.Hour))},
					{Type: corev1.NodeReady, Status: tc.status, Message: tc.message, LastHeartbeatTime: metav1.NewTime(at)},
				}

				answer(w, http.StatusOK, object)
			}).open(t)

			got, err := client.Node(t.Context(), node)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got.ShuttingDown)
			assert.Equal(t, at, got.ReportedAt.UTC())
		})
	}
}

func TestNodeFails(t *testing.T) {
	t.Parallel()

	refused := func(err *apierrors.StatusError) func(*testing.T) *kube.Client {
		return func(t *testing.T) *kube.Client {
			t.Helper()

			return serve(t, refusing(err)).open(t)
		}
	}

	for _, tc := range []struct {
		name string
		open func(*testing.T) *kube.Client
		// is what the error is, besides one that names the node.
		is func(error) bool
		// identity is whether a new client may help.
		identity bool
		want     string
	}{
		{
			name: "when the node does not exist",
			open: refused(apierrors.NewNotFound(nodes, node)),
			is:   apierrors.IsNotFound, want: `nodes "worker-1" not found`,
		},
		{
			name: "when the node is another's",
			open: refused(apierrors.NewForbidden(nodes, node, errors.New("not yours"))),
			is:   kube.IsRefused, want: "not yours",
		},
		{
			name: "when the server is away",
			open: func(t *testing.T) *kube.Client {
				t.Helper()

				s := serve(t, succeeding)
				s.stop()

				return s.open(t)
			},
			want: "connection refused",
		},
		{
			name: "when the server does not accept the certificate",
			open: refused(apierrors.NewUnauthorized("Unauthorized")),
			is:   apierrors.IsUnauthorized, identity: true, want: "Unauthorized",
		},
		{
			// In TLS 1.3 the client is done with the handshake before it is told, and its next write may fail first.
			name: "when the server does not accept the certificate in the handshake",
			open: func(t *testing.T) *kube.Client {
				t.Helper()

				stranger := newAuthority(t).issue(t)

				return serve(t, succeeding, func(s *server) { s.TLS.MaxVersion = tls.VersionTLS12 }).open(t,
					func(config *clientcmdapi.Config) {
						user := config.AuthInfos["default"]
						user.ClientCertificateData, user.ClientKeyData = stranger.certificate, stranger.key
					})
			},
			identity: true, want: "remote error: tls: ",
		},
		{
			name: "when the server's certificate is another authority's",
			open: func(t *testing.T) *kube.Client {
				t.Helper()

				return serve(t, succeeding, presenting(t, newAuthority(t).issue(t))).open(t)
			},
			identity: true, want: "certificate signed by unknown authority",
		},
		{
			name: "when the server's certificate has expired",
			open: func(t *testing.T) *kube.Client {
				t.Helper()

				return serve(t, succeeding, func(s *server) {
					s.TLS.Certificates[0] = s.authority.issue(t, expired).tls(t)
				}).open(t)
			},
			identity: true, want: "certificate has expired or is not yet valid: current time is after 20",
		},
		{
			name: "when the server's authority has expired",
			open: func(t *testing.T) *kube.Client {
				t.Helper()

				issuer := newAuthority(t, expired)

				return serve(t, succeeding, presenting(t, issuer.issue(t))).open(t, func(config *clientcmdapi.Config) {
					config.Clusters["default"].CertificateAuthorityData = issuer.pem()
				})
			},
			identity: true, want: "certificate has expired or is not yet valid: current time is after 20",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			client := tc.open(t)
			_, err := client.Node(t.Context(), node)

			require.ErrorContains(t, err, `failed to read node "worker-1": `)
			assert.Contains(t, kube.Describe(err), tc.want)
			assert.Equal(t, tc.identity, kube.IsIdentity(err), "%v", err)

			if tc.is != nil {
				assert.True(t, tc.is(err), "%v", err)
			}

			_, again := client.Node(t.Context(), node)
			require.Error(t, again)
			assert.Equal(t, kube.Describe(err), kube.Describe(again))
		})
	}
}

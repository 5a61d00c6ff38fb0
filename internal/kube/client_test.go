// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/internal/kube"
)

// TestAPluginMayGiveTheCredentials is about nodes of EKS: their kubelet has no certificate.
func TestAPluginMayGiveTheCredentials(t *testing.T) {
	t.Parallel()

	plugin := filepath.Join(t.TempDir(), "plugin")
	require.NoError(t, os.WriteFile(plugin, []byte(`#!/bin/sh
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"of the node"}}'
`), 0o700))

	requests := make(chan *http.Request, 1)
	handler := func(w http.ResponseWriter, r *http.Request) {
		requests <- r

		nodeWith("this")(w, r)
	}

	client := serve(t, handler, func(s *server) { s.TLS.ClientAuth = tls.NoClientCert }).open(t, func(config *clientcmdapi.Config) {
		config.AuthInfos["default"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
			Command: plugin, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}}
	})

	_, err := client.Node(t.Context(), node)
	require.NoError(t, err)
	assert.Equal(t, "Bearer of the node", receive(t, requests, "the request").Header.Get("Authorization"))
}

func TestOpenTells(t *testing.T) {
	t.Parallel()

	written := func(content string) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()

			path := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))

			return path
		}
	}

	edited := func(edit func(t *testing.T, cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo)) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()

			return serve(t, succeeding).kubeconfig(t, func(config *clientcmdapi.Config) {
				edit(t, config.Clusters["default"], config.AuthInfos["default"])
			})
		}
	}

	for _, tc := range []struct {
		name string
		path func(*testing.T) string
		want string
	}{
		{
			"that no path was given",
			func(*testing.T) string { return "" }, "no path given",
		},
		{
			"that the file is missing",
			func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "kubeconfig") }, "no such file or directory",
		},
		{
			"that the file is not YAML",
			written("{apiVersion: v1,\nkind: Config"), "line",
		},
		{
			"that the file is something else",
			written("apiVersion: v1\nkind: Pod\n"), "Pod",
		},
		{
			"that the file is empty",
			written(""), "no configuration has been provided",
		},
		{
			"that there are no contexts",
			written("apiVersion: v1\nkind: Config\n"), "no configuration has been provided",
		},
		{
			"that the current context does not exist",
			written("apiVersion: v1\nkind: Config\ncurrent-context: lost\n"), "context was not found for specified context: lost",
		},
		{
			"that the certificate's file is missing",
			edited(func(_ *testing.T, _ *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) {
				user.ClientCertificateData, user.ClientCertificate = nil, "/does/not/exist.pem"
			}), "/does/not/exist.pem",
		},
		{
			"that the certificate is garbage",
			edited(func(_ *testing.T, _ *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) {
				user.ClientCertificateData = []byte("garbage")
			}), "failed to find any PEM data in certificate input",
		},
		{
			"that the files of the certificate and the key hold garbage",
			edited(func(t *testing.T, _ *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) {
				t.Helper()

				user.ClientCertificateData, user.ClientCertificate = nil, written("garbage")(t)
				user.ClientKeyData, user.ClientKey = nil, user.ClientCertificate
			}), "failed to find any PEM data in certificate input",
		},
		{
			"that the key belongs to another certificate",
			edited(func(t *testing.T, _ *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) {
				t.Helper()

				user.ClientKeyData = newAuthority(t).issue(t).key
			}), "private key does not match public key",
		},
		{
			"that the authority is garbage",
			edited(func(_ *testing.T, cluster *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
				cluster.CertificateAuthorityData = []byte("garbage")
			}), "unable to load root certificates",
		},
		{
			"that the server's address is none",
			edited(func(_ *testing.T, cluster *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
				cluster.Server = "https://127.0.0.1:port"
			}), "host must be a URL",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			path := tc.path(t)
			client, err := kube.Open(path)

			assert.Nil(t, client)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, kube.Describe(err), "\n")

			if path != "" {
				assert.ErrorContains(t, err, path)
			}
		})
	}
}

func TestPathsInAKubeconfigAreRelativeToIt(t *testing.T) {
	t.Parallel()

	s := serve(t, nodeWith("boot-1"))
	identity := s.authority.issue(t)

	path := s.kubeconfig(t, func(config *clientcmdapi.Config) {
		user := config.AuthInfos["default"]
		user.ClientCertificateData, user.ClientCertificate = nil, "client.crt"
		user.ClientKeyData, user.ClientKey = nil, "client.key"
	})
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "client.crt"), identity.certificate, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "client.key"), identity.key, 0o600))

	_, err := open(t, path).Node(t.Context(), node)
	assert.NoError(t, err)
}

func TestAClientUsesTheProxyOfItsKubeconfig(t *testing.T) {
	t.Parallel()

	asked := make(chan string, 1)

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host

		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(proxy.Close)

	client := serve(t, succeeding).open(t, func(config *clientcmdapi.Config) {
		config.Clusters["default"].Server = "https://control-plane.invalid:6443"
		config.Clusters["default"].ProxyURL = proxy.URL
	})

	_, err := client.Node(t.Context(), node)
	require.Error(t, err)
	assert.Equal(t, "CONNECT control-plane.invalid:6443", receive(t, asked, "the request to the proxy"))
}

func TestARotatedCertificateNeedsANewClient(t *testing.T) {
	t.Parallel()

	var accepted sync.Map

	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := accepted.Load(r.TLS.PeerCertificates[0].SerialNumber.String()); !ok {
			refuse(w, apierrors.NewUnauthorized("the certificate has been rotated"))

			return
		}

		nodeWith("boot-1")(w, r)
	})

	files := t.TempDir()
	certificateFile, keyFile := filepath.Join(files, "client.crt"), filepath.Join(files, "client.key")

	rotate := func() {
		identity := s.authority.issue(t)

		require.NoError(t, os.WriteFile(certificateFile, identity.certificate, 0o600))
		require.NoError(t, os.WriteFile(keyFile, identity.key, 0o600))
		accepted.Clear()
		accepted.Store(identity.serial, true)
	}

	rotate()

	path := s.kubeconfig(t, func(config *clientcmdapi.Config) {
		config.AuthInfos["default"] = &clientcmdapi.AuthInfo{ClientCertificate: certificateFile, ClientKey: keyFile}
	})

	before := open(t, path)
	_, err := before.Node(t.Context(), node)
	require.NoError(t, err)

	rotate()

	_, err = before.Node(t.Context(), node)
	require.Error(t, err)
	assert.True(t, kube.IsIdentity(err), "%v", err)

	// Its next connection is no better.
	before.Close()

	_, err = before.Node(t.Context(), node)
	require.Error(t, err)
	assert.True(t, kube.IsIdentity(err), "%v", err)

	_, err = open(t, path).Node(t.Context(), node)
	assert.NoError(t, err)
}

// It is not parallel, so that all that is counted is its own.
func TestClientsThatWereClosedLeaveNothingBehind(t *testing.T) {
	s := serve(t, nodeWith("boot-1"))
	path := s.kubeconfig(t)

	before := goleak.IgnoreCurrent()
	cached := cachedTransports.Load()

	for range 50 {
		client, err := kube.Open(path)
		require.NoError(t, err)

		_, err = client.Node(t.Context(), node)
		require.NoError(t, err)

		client.Close()
	}

	assert.Equal(t, cached, cachedTransports.Load())

	s.stop()
	goleak.VerifyNone(t, before)

	_, err := rest.TransportFor(&rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{CAData: s.authority.pem()}})
	require.NoError(t, err)
	assert.Greater(t, cachedTransports.Load(), cached, "client-go does not count as it did: this test would not fail")
}

// nodeWith answers with a Node that has the boot id.
func nodeWith(bootID string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		object := &corev1.Node{}
		object.Name = node
		object.Status.NodeInfo.BootID = bootID

		answer(w, http.StatusOK, object)
	}
}

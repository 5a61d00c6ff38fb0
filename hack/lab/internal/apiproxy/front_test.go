// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy_test

import (
	"crypto/tls"
	stdx509 "crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

// signed returns a certificate of the authority for a client or a server.
func signed(t *testing.T, authority *x509.CertificateAuthority, usage stdx509.ExtKeyUsage, options ...x509.Option) *x509.KeyPair {
	t.Helper()

	pair, err := x509.NewKeyPair(authority, append(options,
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{usage}), x509.NotBefore(time.Now().Add(-time.Minute)), x509.NotAfter(time.Now().Add(time.Hour)))...)
	require.NoError(t, err)

	return pair
}

func newAuthority(t *testing.T) (*x509.CertificateAuthority, *stdx509.CertPool) {
	t.Helper()

	authority, err := x509.NewSelfSignedCertificateAuthority()
	require.NoError(t, err)

	pool := stdx509.NewCertPool()
	pool.AddCert(authority.Crt)

	return authority, pool
}

func TestAFrontProxySaysWhoseTheCertificateIs(t *testing.T) {
	clients, clientPool := newAuthority(t)
	fronts, frontPool := newAuthority(t)
	strangers, _ := newAuthority(t)

	headers := make(chan http.Header, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) { headers <- request.Header }))
	server.TLS = &tls.Config{ClientCAs: frontPool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)

	target, err := url.Parse(server.URL)
	require.NoError(t, err)

	roots := stdx509.NewCertPool()
	roots.AddCert(server.Certificate())

	serving := signed(t, clients, stdx509.ExtKeyUsageServerAuth, x509.IPAddresses([]net.IP{net.IPv4(127, 0, 0, 1)}))
	certificate, key := filepath.Join(t.TempDir(), "crt"), filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(certificate, serving.CrtPEM, 0o600))
	require.NoError(t, os.WriteFile(key, serving.KeyPEM, 0o600))

	front := signed(t, fronts, stdx509.ExtKeyUsageClientAuth, x509.CommonName("proxy"))
	identity, err := tls.X509KeyPair(front.CrtPEM, front.KeyPEM)
	require.NoError(t, err)

	proxy, err := apiproxy.Listen(apiproxy.Config{
		Server: target, Roots: roots, Certificate: certificate, Key: key,
		Front: &apiproxy.Front{Clients: clientPool, Identity: identity},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, proxy.Close()) })

	ask := func(pairs ...*x509.KeyPair) (http.Header, error) {
		config := &tls.Config{RootCAs: clientPool, MinVersion: tls.VersionTLS12}

		for _, pair := range pairs {
			shown, err := tls.X509KeyPair(pair.CrtPEM, pair.KeyPEM)
			require.NoError(t, err)

			// It is shown whatever the server asks for.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
		}

		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy.URL(), nil)
		require.NoError(t, err)
		request.Header.Set(apiproxy.UserHeader, "admin")
		request.Header.Set(apiproxy.GroupHeader, "system:masters")

		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}

		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}

		require.NoError(t, response.Body.Close())

		return <-headers, nil
	}

	header, err := ask(signed(t, clients, stdx509.ExtKeyUsageClientAuth, x509.CommonName("system:node:a"), x509.Organization("system:nodes")))
	require.NoError(t, err)
	assert.Equal(t, []string{"system:node:a"}, header.Values(apiproxy.UserHeader))
	assert.Equal(t, []string{"system:nodes"}, header.Values(apiproxy.GroupHeader))

	header, err = ask()
	require.NoError(t, err)
	assert.Empty(t, header.Values(apiproxy.UserHeader), "nobody is who they only say they are")
	assert.Empty(t, header.Values(apiproxy.GroupHeader))

	_, err = ask(signed(t, strangers, stdx509.ExtKeyUsageClientAuth, x509.CommonName("system:node:a")))
	require.Error(t, err)
	assert.Equal(t, 3, proxy.Requests()+1, "a connection that did not come about is no request")
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/agent/host"
)

// clientCertificate is one for a user, in the order in which the kubelet writes it: the certificate first, then the key.
func clientCertificate(t *testing.T, user string) []byte {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: user, Organization: []string{"system:nodes"}},
		NotAfter:     time.Now().Add(time.Hour),
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)

	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTheNodenameIsThatOfTheCertificate(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name        string
		certificate []byte
		want, wrong string
	}{
		{name: "a kubelet's", certificate: clientCertificate(t, "system:node:worker-1.example.com"), want: "worker-1.example.com"},
		{name: "an administrator's", certificate: clientCertificate(t, "kubernetes-admin"), wrong: `the client certificate is "kubernetes-admin"'s and not a kubelet's`},
		{name: "one for no name", certificate: clientCertificate(t, "system:node:"), wrong: `"" is no name of a Node`},
		{name: "none", wrong: "give it with --node-name or NODE_NAME"},
		{name: "no PEM", certificate: []byte("half of a fi"), wrong: "is not in PEM form"},
		{
			name:        "half-written",
			certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("half")}),
			wrong:       "failed to parse the kubelet's client certificate",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			name, err := host.Nodename(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: tc.certificate}})
			if tc.wrong != "" {
				require.ErrorContains(t, err, tc.wrong)

				return
			}

			require.NoError(t, err)
			assert.Equal(t, tc.want, name)
		})
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

// configure makes a client configuration whose only context is called lab.
func configure(t *testing.T, authority *talosapi.Authority, cluster *ctest.Cluster, options talosapi.ClientConfig) *clientconfig.Config {
	t.Helper()

	options.Endpoints = []string{cluster.Endpoint()}
	options.Roles = admin

	config, err := authority.Config("lab", options)
	require.NoError(t, err)

	return config
}

func TestOnlyValidCertificatesOfTheAuthorityAreTakenIn(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	foreign, err := talosapi.NewAuthority()
	require.NoError(t, err)

	valid := configure(t, cluster.Authority, cluster, talosapi.ClientConfig{})

	// A foreigner who is ready to believe the endpoint, which does not make the endpoint believe the foreigner.
	trusting := configure(t, foreign, cluster, talosapi.ClientConfig{})
	trusting.Contexts["lab"].CA = valid.Contexts["lab"].CA

	anonymous := configure(t, cluster.Authority, cluster, talosapi.ClientConfig{})
	anonymous.Contexts["lab"].Crt, anonymous.Contexts["lab"].Key = "", ""

	for name, config := range map[string]*clientconfig.Config{
		"an expired certificate": configure(t, cluster.Authority, cluster, talosapi.ClientConfig{
			NotBefore: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour,
		}),
		"a certificate from the future": configure(t, cluster.Authority, cluster, talosapi.ClientConfig{
			NotBefore: time.Now().Add(time.Hour),
		}),
		"a client of another authority":      configure(t, foreign, cluster, talosapi.ClientConfig{}),
		"a certificate of another authority": trusting,
		"no certificate":                     anonymous,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := nodeName(client.WithNode(deadline(t), second), newClient(t, config))
			assertStatus(t, err, codes.Unavailable, "")
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	certificate, err := client.CertificateFromConfigContext(
		configure(t, cluster.Authority, cluster, talosapi.ClientConfig{}).Contexts["lab"])
	require.NoError(t, err)

	//nolint:gosec // that it is too old and does not care whom it talks to is the point
	dialer := tls.Dialer{Config: &tls.Config{
		MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate},
	}}

	_, err = dialer.DialContext(deadline(t), "tcp", cluster.Endpoint())
	assert.ErrorContains(t, err, "protocol version")
}

func TestAConfigurationSurvivesBeingWritten(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	written, err := configure(t, cluster.Authority, cluster, talosapi.ClientConfig{Nodes: []string{first, second}}).Bytes()
	require.NoError(t, err)

	read, err := clientconfig.FromBytes(written)
	require.NoError(t, err)
	assert.Equal(t, "lab", read.Context)
	assert.Equal(t, []string{cluster.Endpoint()}, read.Contexts["lab"].Endpoints)
	assert.Equal(t, []string{first, second}, read.Contexts["lab"].Nodes)

	_, err = newClient(t, read).Version(client.WithNodes(deadline(t), read.Contexts["lab"].Nodes...))
	assert.NoError(t, err)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// claiming returns a context in which a client says itself which role it has.
func claiming(ctx context.Context, claimed role.Role) context.Context {
	return metadata.AppendToOutgoingContext(ctx, constants.APIAuthzRoleMetadataKey, string(claimed))
}

func TestOnlyValidCertificatesOfTheAuthorityAreTakenIn(t *testing.T) {
	t.Parallel()

	c := newCluster(t)
	valid := c.config(t, talosapi.ClientConfig{Roles: admin})

	foreign, err := talosapi.NewAuthority()
	require.NoError(t, err)

	foreigner, err := foreign.Config("lab", talosapi.ClientConfig{Endpoints: []string{c.endpoint.Address()}, Roles: admin})
	require.NoError(t, err)

	// A foreigner who is ready to believe the endpoint, which does not make the endpoint believe the foreigner.
	trusting := clientconfig.Config{Context: "lab", Contexts: map[string]*clientconfig.Context{"lab": {
		Endpoints: []string{c.endpoint.Address()},
		CA:        valid.Contexts["lab"].CA,
		Crt:       foreigner.Contexts["lab"].Crt,
		Key:       foreigner.Contexts["lab"].Key,
	}}}

	anonymous := clientconfig.Config{Context: "lab", Contexts: map[string]*clientconfig.Context{"lab": {
		Endpoints: []string{c.endpoint.Address()},
		CA:        valid.Contexts["lab"].CA,
	}}}

	for _, tc := range []struct {
		name   string
		config *clientconfig.Config
	}{
		{name: "an expired certificate", config: c.config(t, talosapi.ClientConfig{
			Roles: admin, NotBefore: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour,
		})},
		{name: "a certificate from the future", config: c.config(t, talosapi.ClientConfig{
			Roles: admin, NotBefore: time.Now().Add(time.Hour),
		})},
		{name: "a client of another authority", config: foreigner},
		{name: "a certificate of another authority", config: &trusting},
		{name: "no certificate", config: &anonymous},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			_, err := safe.StateGetByID[*recovery.RecoveryStatus](client.WithNode(deadline(t), second),
				newClient(t, tc.config).COSI, recovery.RecoveryStatusID)
			assertStatus(t, err, codes.Unavailable, "")
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()

	c := newCluster(t)

	certificate, err := client.CertificateFromConfigContext(c.config(t, talosapi.ClientConfig{Roles: admin}).Contexts["lab"])
	require.NoError(t, err)

	//nolint:gosec // that it is too old and does not care whom it talks to is the point
	dialer := tls.Dialer{Config: &tls.Config{
		MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate},
	}}

	_, err = dialer.DialContext(deadline(t), "tcp", c.endpoint.Address())
	assert.ErrorContains(t, err, "protocol version")
}

func TestAConfigurationSurvivesBeingWritten(t *testing.T) {
	t.Parallel()

	c := newCluster(t)
	config := c.config(t, talosapi.ClientConfig{Nodes: []string{first, second}, Roles: reader})

	written, err := config.Bytes()
	require.NoError(t, err)

	read, err := clientconfig.FromBytes(written)
	require.NoError(t, err)

	assert.Equal(t, "lab", read.Context)
	assert.Equal(t, []string{c.endpoint.Address()}, read.Contexts["lab"].Endpoints)
	assert.Equal(t, []string{first, second}, read.Contexts["lab"].Nodes)

	pem, err := base64.StdEncoding.DecodeString(read.Contexts["lab"].CA)
	require.NoError(t, err)
	assert.Contains(t, string(pem), "BEGIN CERTIFICATE")

	_, err = newClient(t, read).Version(client.WithNodes(deadline(t), read.Contexts["lab"].Nodes...))
	assert.NoError(t, err)
}

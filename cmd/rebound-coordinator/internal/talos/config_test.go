// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos_test

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/talos"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

func TestABadTalosconfigIsARefusal(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	secret := cluster.config(t, admin).Contexts["lab"].Key

	for name, tc := range map[string]struct{ content, says string }{
		"nothing":             {"", "has no contexts"},
		"space":               {"\n", "has no contexts"},
		"null":                {"null", "has no contexts"},
		"the key alone":       {secret, "is not a talosconfig"},
		"the key in place":    {"contexts: " + secret, "is not a talosconfig"},
		"a list of keys":      {"context: lab\ncontexts: {lab: {endpoints: " + secret + "}}", "is not a talosconfig"},
		"a bad line":          {"contexts: {lab: {key: " + secret + "\n\t\x00", "is not a talosconfig"},
		"no current context":  {"contexts: {lab: {endpoints: [a]}}", "has no current context"},
		"another context":     {"context: there\ncontexts: {lab: {endpoints: [a]}}", `has no context "there"`},
		"an empty context":    {"context: lab\ncontexts: {lab: }", `has no context "lab"`},
		"no endpoints":        {"context: lab\ncontexts: {lab: {key: " + secret + "}}", "it has no endpoints"},
		"an empty endpoint":   {"context: lab\ncontexts: {lab: {endpoints: ['']}}", "it has no endpoints"},
		"a person's":          {"context: lab\ncontexts: {lab: {endpoints: [a], auth: {siderov1: {identity: a@b}}}}", "it wants a person to sign in"},
		"a key alone":         {"context: lab\ncontexts: {lab: {endpoints: [a], key: " + secret + "}}", "failed to read the client certificate"},
		"a key that is cut":   {"context: lab\ncontexts: {lab: {endpoints: [a], crt: YQ==, key: '" + secret[:31] + "'}}", "failed to read the client certificate"},
		"a CA that is no CA":  {"context: lab\ncontexts: {lab: {endpoints: [a], ca: YQ==}}", "failed to append CA certificate"},
		"a CA that is broken": {"context: lab\ncontexts: {lab: {endpoints: [a], ca: '%'}}", "error decoding CA"},
	} {
		t.Log(name)

		client := cluster.clientWith(t, []byte(tc.content))

		for _, err := range []error{
			client.Reboot(deadline(t), at(first)),
			client.Check(deadline(t), at(first)),
			client.EtcdHealth(deadline(t), []string{first}),
		} {
			assertRefused(t, err, tc.says)
			assert.ErrorContains(t, err, cluster.path)
			assert.NotContains(t, err.Error(), secret[:8])
		}
	}

	assert.Empty(t, cluster.rebooted())
}

func TestATalosconfigThatCannotBeReadIsARefusal(t *testing.T) {
	t.Parallel()

	missing := filepath.Join(t.TempDir(), "talosconfig")

	err := talos.New(missing).Reboot(deadline(t), at(first))
	assertRefused(t, err, missing)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.NoFileExists(t, missing, "it is not made")

	assertRefused(t, talos.New(t.TempDir()).Check(deadline(t), at(first)), "is a directory")
}

func TestTheTalosconfigIsReadForEveryCall(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, reader)

	assertRefused(t, client.Reboot(deadline(t), at(first)), "not authorized")

	cluster.client(t, operator)
	require.NoError(t, client.Reboot(deadline(t), at(first)))

	cluster.clientWith(t, []byte("{"))
	assertRefused(t, client.Reboot(deadline(t), at(first)), "is not a talosconfig")

	require.NoError(t, os.Remove(cluster.path))
	assertRefused(t, client.Reboot(deadline(t), at(first)), "no such file")

	cluster.client(t, admin)
	require.NoError(t, client.Reboot(deadline(t), at(second)))

	assert.Equal(t, []string{first, second}, cluster.rebooted())
}

func TestCertificatesThatDoNotFitAreARefusal(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	foreign, err := talosapi.NewAuthority()
	require.NoError(t, err)

	foreigner := func(options talosapi.ClientConfig, authority *talosapi.Authority) *clientconfig.Config {
		options.Endpoints, options.Roles = []string{cluster.Endpoint()}, admin

		config, err := authority.Config("lab", options)
		require.NoError(t, err)

		return config
	}

	// It trusts the endpoint. The endpoint must not trust it.
	trusting := foreigner(talosapi.ClientConfig{}, foreign)
	trusting.Contexts["lab"].CA = cluster.config(t, admin).Contexts["lab"].CA

	anonymous := cluster.config(t, admin)
	anonymous.Contexts["lab"].Crt, anonymous.Contexts["lab"].Key = "", ""

	// The system does not know the authority.
	trustless := cluster.config(t, admin)
	trustless.Contexts["lab"].CA = ""

	for name, tc := range map[string]struct {
		config *clientconfig.Config
		says   string
	}{
		"an endpoint of another authority": {foreigner(talosapi.ClientConfig{}, foreign), "x509: certificate signed by unknown authority"},
		"an authority that is not named":   {trustless, "x509: certificate signed by unknown authority"},
		"a certificate of another":         {trusting, "remote error: tls: unknown certificate authority"},
		"no certificate":                   {anonymous, "remote error: tls: certificate required"},
		"an expired certificate": {
			foreigner(talosapi.ClientConfig{NotBefore: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour}, cluster.Authority),
			"the client certificate expired at",
		},
		"a certificate from the future": {
			foreigner(talosapi.ClientConfig{NotBefore: time.Now().Add(time.Hour)}, cluster.Authority),
			"the client certificate is not valid before",
		},
	} {
		t.Log(name)

		client := cluster.clientOf(t, tc.config)

		assertRefused(t, client.Reboot(deadline(t), at(first)), tc.says)
		assertRefused(t, client.Check(deadline(t), at(first)), tc.says)
	}

	assert.Empty(t, cluster.rebooted())
}

func TestAnOldTalosconfigHasATarget(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	config := cluster.config(t, operator)

	config.Contexts["lab"].DeprecatedTarget, config.Contexts["lab"].Endpoints = cluster.Endpoint(), nil
	require.NoError(t, cluster.clientOf(t, config).Reboot(deadline(t), at(first)))

	pem, err := base64.StdEncoding.DecodeString(config.Contexts["lab"].Key)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(pem), "-----BEGIN"), "what the other tests look for is a key")
}

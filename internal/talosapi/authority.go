// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"cmp"
	"crypto/tls"
	stdx509 "crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/siderolabs/crypto/x509"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
)

// authorityLifetime is how long an authority and the certificates of its endpoints are valid. Talos uses the same.
const authorityLifetime = 10 * 365 * 24 * time.Hour

// Authority signs what a Talos cluster's own authority signs: the certificates of its endpoints and of their clients.
type Authority struct {
	ca *x509.CertificateAuthority
}

// NewAuthority makes an authority with a new ed25519 key. It trusts no certificate of another authority.
func NewAuthority() (*Authority, error) {
	// The secrets package of machinery does the same, but needs a machine configuration.
	ca, err := x509.NewSelfSignedCertificateAuthority(
		x509.Organization("talos"),
		x509.NotAfter(time.Now().Add(authorityLifetime)),
	)
	if err != nil {
		return nil, fmt.Errorf("failed to create a certificate authority: %w", err)
	}

	return &Authority{ca: ca}, nil
}

// ClientConfig says who a client is and where it finds the cluster.
type ClientConfig struct {
	// Endpoints are the addresses of the endpoints, with their ports.
	Endpoints []string

	// Nodes are the nodes that commands use unless they are given others.
	Nodes []string

	// Roles are what the client's certificate lets it do. The zero value lets it connect and do nothing.
	Roles role.Set

	// NotBefore is when the certificate becomes valid, now if zero.
	NotBefore time.Time

	// Lifetime is how long it is valid from then on, a day if zero.
	Lifetime time.Duration
}

// Config makes a talosconfig with a single context of that name, which has a new key and certificate.
func (a *Authority) Config(context string, options ClientConfig) (*clientconfig.Config, error) {
	if options.NotBefore.IsZero() {
		options.NotBefore = time.Now()
	}

	options.Lifetime = cmp.Or(options.Lifetime, 24*time.Hour)

	pair, err := x509.NewKeyPair(a.ca,
		x509.Organization(options.Roles.Strings()...),
		x509.NotBefore(options.NotBefore),
		x509.NotAfter(options.NotBefore.Add(options.Lifetime)),
		x509.KeyUsage(stdx509.KeyUsageDigitalSignature),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageClientAuth}),
	)
	if err != nil {
		return nil, fmt.Errorf("failed to sign the client certificate of %q: %w", context, err)
	}

	config := clientconfig.NewConfig(context, options.Endpoints, a.ca.CrtPEM, x509.NewCertificateAndKeyFromKeyPair(pair))
	config.Contexts[context].Nodes = options.Nodes

	return config, nil
}

// serverTLS returns the TLS configuration of an endpoint on loopback. Clients need a certificate of the same authority.
func (a *Authority) serverTLS() (*tls.Config, error) {
	pair, err := x509.NewKeyPair(a.ca,
		x509.IPAddresses([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}),
		x509.DNSNames([]string{"localhost"}),
		x509.NotAfter(a.ca.Crt.NotAfter),
		x509.KeyUsage(stdx509.KeyUsageDigitalSignature),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageServerAuth}),
	)
	if err != nil {
		return nil, fmt.Errorf("failed to sign the certificate of an endpoint: %w", err)
	}

	pool := stdx509.NewCertPool()
	pool.AddCert(a.ca.Crt)

	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{*pair.Certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}, nil
}

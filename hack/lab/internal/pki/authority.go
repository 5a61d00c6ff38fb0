// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package pki makes the certificate authority of a lab and the credentials
// that it signs. Nothing it makes is meant to be trusted outside the lab.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Lifetime is how long a certificate is valid unless told otherwise.
const Lifetime = 24 * time.Hour

// backdate allows for the whole seconds of X.509 times.
const backdate = time.Minute

// Authority is a certificate authority.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// NewAuthority creates an authority with a key of its own.
func NewAuthority(commonName string) (*Authority, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}

	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(Lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}

	authority := &Authority{certificate: template, key: key}

	der, err := authority.sign(template, key.Public())
	if err != nil {
		return nil, err
	}

	if authority.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("failed to parse certificate %q: %w", commonName, err)
	}

	authority.pem = encodeCertificate(der)

	return authority, nil
}

// CertificatePEM returns the authority's certificate.
func (authority *Authority) CertificatePEM() []byte { return authority.pem }

// Pair is a certificate and its private key in PEM.
type Pair struct {
	Certificate []byte
	Key         []byte
}

// Server signs a serving certificate for the loopback address and localhost.
func (authority *Authority) Server(commonName string, address net.IP) (Pair, error) {
	return authority.pair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		NotAfter:    time.Now().Add(Lifetime),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{address},
		DNSNames:    []string{"localhost"},
	})
}

// Client signs a client certificate: user is what the API server takes for the
// user's name, groups for the user's groups.
func (authority *Authority) Client(lifetime time.Duration, user string, groups ...string) (Pair, error) {
	return authority.pair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		NotAfter:    time.Now().Add(lifetime),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (authority *Authority) pair(template *x509.Certificate) (Pair, error) {
	key, err := NewKey()
	if err != nil {
		return Pair{}, err
	}

	template.NotBefore = time.Now().Add(-backdate)
	template.KeyUsage = x509.KeyUsageDigitalSignature

	der, err := authority.sign(template, key.Public())
	if err != nil {
		return Pair{}, err
	}

	encodedKey, err := EncodeKey(key)
	if err != nil {
		return Pair{}, err
	}

	return Pair{Certificate: encodeCertificate(der), Key: encodedKey}, nil
}

func (authority *Authority) sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("failed to draw a serial number: %w", err)
	}

	template.SerialNumber = serial

	der, err := x509.CreateCertificate(rand.Reader, template, authority.certificate, public, authority.key)
	if err != nil {
		return nil, fmt.Errorf("failed to sign certificate %q: %w", template.Subject.CommonName, err)
	}

	return der, nil
}

// NewKey draws a private key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("failed to generate private key: %w", err)
	}

	return key, nil
}

// EncodeKey returns key in PEM.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("failed to encode private key: %w", err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

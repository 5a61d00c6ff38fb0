// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	stdx509 "crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/siderolabs/crypto/x509"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

const (
	// certificateLifetime is how long a certificate is valid unless told
	// otherwise; longer than a lab.
	certificateLifetime = 24 * time.Hour
	// backdate allows for the whole seconds of X.509 times.
	backdate = time.Minute
)

// identities are the control plane's, as every cluster has them: the user, and
// its groups.
var identities = map[string][]string{
	"admin":              {"admin", "system:masters"},
	"controller-manager": {"system:kube-controller-manager"},
	"scheduler":          {"system:kube-scheduler"},
}

// writeCredentials makes the certificate authority and all that the control
// plane needs of it.
func (lab *Lab) writeCredentials(server string) error {
	var err error

	if lab.authority, err = newAuthority(lab.path("ca.crt")); err != nil {
		return err
	}

	// Whoever has a certificate of this one may say who it is that asks, so it is
	// not the one that signs for clients.
	if lab.frontAuthority, err = newAuthority(lab.path("front-proxy-ca.crt")); err != nil {
		return err
	}

	serving, err := lab.authority.sign(certificateLifetime, stdx509.ExtKeyUsageServerAuth,
		x509.CommonName("rebound-lab"), x509.DNSNames([]string{"localhost"}), x509.IPAddresses([]net.IP{net.ParseIP(loopback.Address)}))
	if err != nil {
		return err
	}

	serviceAccount, err := x509.NewECDSAKey()
	if err != nil {
		return fmt.Errorf("failed to generate key of service accounts: %w", err)
	}

	for name, content := range map[string][]byte{
		"serving.crt":         serving.CrtPEM,
		"serving.key":         serving.KeyPEM,
		"service-account.key": serviceAccount.KeyPEM,
		"audit-policy.yaml":   []byte(lab.auditPolicy),
		"scheduler.yaml":      fmt.Appendf(nil, schedulerConfig, lab.path("scheduler.kubeconfig"), lab.schedulerRate, 2*lab.schedulerRate),
	} {
		if err = os.WriteFile(lab.path(name), content, 0o600); err != nil {
			return fmt.Errorf("failed to write %q: %w", name, err)
		}
	}

	for name, identity := range identities {
		pair, err := lab.authority.signClient(certificateLifetime, identity[0], identity[1:]...)
		if err != nil {
			return err
		}

		user := &clientcmdapi.AuthInfo{ClientCertificateData: pair.CrtPEM, ClientKeyData: pair.KeyPEM}

		if err = lab.writeKubeconfig(lab.path(name+".kubeconfig"), server, user); err != nil {
			return err
		}
	}

	return nil
}

// authority signs certificates.
type authority struct{ *x509.CertificateAuthority }

// newAuthority returns one whose certificate is in the file at path.
func newAuthority(path string) (authority, error) {
	// Kubernetes does not sign the tokens of service accounts with Ed25519, which
	// is the default.
	made, err := x509.NewSelfSignedCertificateAuthority(x509.Organization("rebound-lab"), x509.ECDSA(true))
	if err != nil {
		return authority{}, fmt.Errorf("failed to create certificate authority: %w", err)
	}

	if err = os.WriteFile(path, made.CrtPEM, 0o600); err != nil {
		return authority{}, fmt.Errorf("failed to write certificate of authority: %w", err)
	}

	return authority{made}, nil
}

// pool trusts the authority.
func (authority authority) pool() *stdx509.CertPool {
	pool := stdx509.NewCertPool()
	pool.AddCert(authority.Crt)

	return pool
}

// signClient signs a client certificate: user is what the API server takes for
// the user's name, groups for the user's groups.
func (authority authority) signClient(lifetime time.Duration, user string, groups ...string) (*x509.KeyPair, error) {
	return authority.sign(lifetime, stdx509.ExtKeyUsageClientAuth, x509.CommonName(user), x509.Organization(groups...))
}

func (authority authority) sign(lifetime time.Duration, usage stdx509.ExtKeyUsage, opts ...x509.Option) (*x509.KeyPair, error) {
	now := time.Now()

	pair, err := x509.NewKeyPair(authority.CertificateAuthority, append(opts,
		x509.NotBefore(now.Add(-backdate)),
		x509.NotAfter(now.Add(lifetime)),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{usage}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("failed to sign certificate: %w", err)
	}

	return pair, nil
}

func (lab *Lab) writeKubeconfig(path, server string, user *clientcmdapi.AuthInfo) error {
	return writeKubeconfig(path, server, lab.authority.CrtPEM, user)
}

func writeKubeconfig(path, server string, authority []byte, user *clientcmdapi.AuthInfo) error {
	const name = "lab"

	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos[name] = user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name

	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("failed to write kubeconfig %q: %w", path, err)
	}

	return nil
}

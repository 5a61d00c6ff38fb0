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

	// Kubernetes does not sign the tokens of service accounts with Ed25519, which
	// is the default.
	if lab.authority, err = x509.NewSelfSignedCertificateAuthority(x509.Organization("rebound-lab"), x509.ECDSA(true)); err != nil {
		return fmt.Errorf("failed to create certificate authority: %w", err)
	}

	serving, err := lab.sign(certificateLifetime, stdx509.ExtKeyUsageServerAuth,
		x509.CommonName("rebound-lab"), x509.DNSNames([]string{"localhost"}), x509.IPAddresses([]net.IP{net.ParseIP(loopback.Address)}))
	if err != nil {
		return err
	}

	serviceAccount, err := x509.NewECDSAKey()
	if err != nil {
		return fmt.Errorf("failed to generate key of service accounts: %w", err)
	}

	for name, content := range map[string][]byte{
		"ca.crt":              lab.authority.CrtPEM,
		"serving.crt":         serving.CrtPEM,
		"serving.key":         serving.KeyPEM,
		"service-account.key": serviceAccount.KeyPEM,
		"audit-policy.yaml":   []byte(auditPolicy),
		"scheduler.yaml":      fmt.Appendf(nil, schedulerConfig, lab.path("scheduler.kubeconfig")),
	} {
		if err = os.WriteFile(lab.path(name), content, 0o600); err != nil {
			return fmt.Errorf("failed to write %q: %w", name, err)
		}
	}

	for name, identity := range identities {
		pair, err := lab.signClient(certificateLifetime, identity[0], identity[1:]...)
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

// signClient signs a client certificate: user is what the API server takes for
// the user's name, groups for the user's groups.
func (lab *Lab) signClient(lifetime time.Duration, user string, groups ...string) (*x509.KeyPair, error) {
	return lab.sign(lifetime, stdx509.ExtKeyUsageClientAuth, x509.CommonName(user), x509.Organization(groups...))
}

func (lab *Lab) sign(lifetime time.Duration, usage stdx509.ExtKeyUsage, opts ...x509.Option) (*x509.KeyPair, error) {
	now := time.Now()

	pair, err := x509.NewKeyPair(lab.authority, append(opts,
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
	const name = "lab"

	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: lab.authority.CrtPEM}
	config.AuthInfos[name] = user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name

	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("failed to write kubeconfig %q: %w", path, err)
	}

	return nil
}

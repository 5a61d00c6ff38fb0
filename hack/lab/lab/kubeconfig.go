// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"fmt"
	"path/filepath"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// WithOwnKubeconfig gives rebound on the node a kubeconfig that the kubelet does
// not use, so that the kubelet goes on when it is spoiled. It names the same
// certificate.
func WithOwnKubeconfig() NodeOption {
	return func(node *Node) { node.ownKubeconfig = true }
}

// ReboundKubeconfig returns the path of the kubeconfig that rebound uses: the
// kubelet's, unless it has its own or the agent's platform has another one.
func (node *Node) ReboundKubeconfig() string {
	if node.reboundKubeconfig != "" {
		return node.reboundKubeconfig
	}

	return node.KubeconfigPath()
}

// installKubeconfig writes the kubeconfig that rebound in machined has to itself.
func (node *Node) installKubeconfig() error {
	if !node.ownKubeconfig || node.config.Rebound == nil {
		return nil
	}

	node.reboundKubeconfig = filepath.Join(filepath.Dir(node.KubeconfigPath()), "kubeconfig-rebound")
	node.config.Rebound.Kubeconfig = node.reboundKubeconfig

	return node.writeKubeconfig(node.reboundKubeconfig, node.server())
}

// Credential is what a kubeconfig has instead of the kubelet's certificate. Its
// zero value is a good one.
type Credential struct {
	// Lifetime is how long its certificate is valid; zero for longer than the lab.
	Lifetime time.Duration
	// Stranger is whether its certificate is signed by an authority that the API
	// server does not trust for clients, as one is that was replaced.
	Stranger bool
	// Distrusts is whether it trusts an authority that has not signed the API
	// server's certificate.
	Distrusts bool
}

// WriteReboundKubeconfig writes rebound's kubeconfig anew, with a certificate in
// it.
func (node *Node) WriteReboundKubeconfig(credential Credential) error {
	if node.reboundKubeconfig == "" {
		return fmt.Errorf("rebound on node %q has no kubeconfig of its own", node.name)
	}

	lifetime := credential.Lifetime
	if lifetime == 0 {
		lifetime = certificateLifetime
	}

	signer, trusted := node.lab.authority, node.lab.authority

	if credential.Stranger {
		signer = node.lab.frontAuthority
	}

	if credential.Distrusts {
		trusted = node.lab.frontAuthority
	}

	pair, err := signer.signClient(lifetime, NodeUserPrefix+node.name, "system:nodes")
	if err != nil {
		return err
	}

	user := &clientcmdapi.AuthInfo{ClientCertificateData: pair.CrtPEM, ClientKeyData: pair.KeyPEM}

	return writeKubeconfig(node.reboundKubeconfig, node.server(), trusted.CrtPEM, user)
}

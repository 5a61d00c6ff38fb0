// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a kubeconfig file with the credential inside it.
func (authority *Authority) WriteKubeconfig(path, server string, pair Pair) error {
	return authority.writeKubeconfig(path, server, &clientcmdapi.AuthInfo{
		ClientCertificateData: pair.Certificate,
		ClientKeyData:         pair.Key,
	})
}

// WriteKubeconfigForFile writes a kubeconfig file which refers to one file that
// holds both the certificate and its key, as a kubelet's does: the kubelet
// rotates that file and leaves the kubeconfig alone.
func (authority *Authority) WriteKubeconfigForFile(path, server, pairPath string) error {
	return authority.writeKubeconfig(path, server, &clientcmdapi.AuthInfo{
		ClientCertificate: pairPath,
		ClientKey:         pairPath,
	})
}

func (authority *Authority) writeKubeconfig(path, server string, user *clientcmdapi.AuthInfo) error {
	const name = "lab"

	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   server,
		CertificateAuthorityData: authority.pem,
	}
	config.AuthInfos[name] = user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name

	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("failed to write kubeconfig %q: %w", path, err)
	}

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
)

// userPrefix begins the common name of every kubelet's client certificate (Kubernetes, "Using Node Authorization").
const userPrefix = "system:node:"

// Nodename returns the name of the Node that a client configuration is the identity of: that of its certificate. Without a
// certificate, as with an exec plugin or a token, the name has to be given.
func Nodename(config *rest.Config) (string, error) {
	config = rest.CopyConfig(config)

	if err := rest.LoadTLSFiles(config); err != nil {
		return "", fmt.Errorf("failed to load the kubelet's client certificate: %w", err)
	}

	if len(config.CertData) == 0 {
		return "", errors.New("the kubeconfig has no client certificate to tell the node's name from; give it with --node-name or NODE_NAME")
	}

	for rest := config.CertData; ; {
		var block *pem.Block

		if block, rest = pem.Decode(rest); block == nil {
			return "", errors.New("the kubelet's client certificate is not in PEM form")
		}

		if block.Type != "CERTIFICATE" {
			continue
		}

		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("failed to parse the kubelet's client certificate: %w", err)
		}

		name, ok := strings.CutPrefix(certificate.Subject.CommonName, userPrefix)
		if !ok {
			return "", fmt.Errorf("the client certificate is %q's and not a kubelet's, which begins with %q", certificate.Subject.CommonName, userPrefix)
		}

		return name, CheckNodename(name)
	}
}

// CheckNodename tells whether a Node may have this name.
func CheckNodename(name string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%q is no name of a Node: %s", name, strings.Join(problems, "; "))
	}

	return nil
}

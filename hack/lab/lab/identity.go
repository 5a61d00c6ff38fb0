// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import "k8s.io/client-go/rest"

// NodeIdentity returns the configuration of a client that is, to the API server,
// the node with the name: it has a certificate of its own. There need not be such
// a node in the lab. The client sends as much as its user does.
func (lab *Lab) NodeIdentity(name string) (*rest.Config, error) {
	pair, err := lab.authority.signClient(certificateLifetime, NodeUserPrefix+name, "system:nodes")
	if err != nil {
		return nil, err
	}

	return &rest.Config{
		Host: lab.admin.Host,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: lab.authority.CrtPEM, CertData: pair.CrtPEM, KeyData: pair.KeyPEM,
		},
		QPS: -1,
	}, nil
}

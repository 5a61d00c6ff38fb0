// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"crypto/tls"
	"fmt"
	"net/url"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

// frontProxy is the name by which the API server knows the proxies of nodes.
const frontProxy = "rebound-lab-proxy"

// Proxy returns a proxy in front of the API server, for one client with a token,
// which lasts as long as the lab.
func (lab *Lab) Proxy() (*apiproxy.Proxy, error) { return lab.listenProxy(nil) }

// WithProxy puts a proxy between rebound on the node and the API server. The
// kubelet beside it, with the same certificate, is not behind it.
func WithProxy() NodeOption {
	return func(node *Node) { node.proxied, node.ownKubeconfig = true, true }
}

// Proxy returns what stands between rebound on the node and the API server; nil
// unless the node was added WithProxy. It lasts as long as the lab.
func (node *Node) Proxy() *apiproxy.Proxy { return node.proxy }

// server is the URL at which rebound on the node finds the API server.
func (node *Node) server() string {
	if node.proxy != nil {
		return node.proxy.URL()
	}

	return node.lab.admin.Host
}

// installProxy starts the node's proxy.
func (node *Node) installProxy() error {
	if !node.proxied {
		return nil
	}

	pair, err := node.lab.frontAuthority.signClient(certificateLifetime, frontProxy)
	if err != nil {
		return err
	}

	identity, err := tls.X509KeyPair(pair.CrtPEM, pair.KeyPEM)
	if err != nil {
		return fmt.Errorf("failed to load certificate of proxy: %w", err)
	}

	node.proxy, err = node.lab.listenProxy(&apiproxy.Front{Clients: node.lab.roots(), Identity: identity})

	return err
}

// listenProxy starts a proxy that ends with the lab.
func (lab *Lab) listenProxy(front *apiproxy.Front) (*apiproxy.Proxy, error) {
	server, err := url.Parse(lab.admin.Host)
	if err != nil {
		return nil, fmt.Errorf("failed to parse address of the API server: %w", err)
	}

	proxy, err := apiproxy.Listen(apiproxy.Config{
		Server:      server,
		Roots:       lab.roots(),
		Certificate: lab.path("serving.crt"),
		Key:         lab.path("serving.key"),
		Front:       front,
	})
	if err != nil {
		return nil, err
	}

	lab.mu.Lock()
	lab.proxies = append(lab.proxies, proxy)
	lab.mu.Unlock()

	return proxy, nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"fmt"
	"net"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// UserAgent is how the requests can be told from the kubelet's in an audit log, whose identity they share.
	UserAgent = "rebound"

	// dialTimeout bounds the making of a connection. It is what Talos gives its own clients.
	dialTimeout = 15 * time.Second
	// requestTimeout bounds every request that no admission webhook can hold up.
	requestTimeout = 15 * time.Second
	// deleteTimeout bounds a delete. A webhook has 10 s to answer, up to 30 if it is configured so, and is asked twice for one
	// pod (measured in hack/lab). The API server gives the whole of it 34 s (requestTimeoutUpperBound of k8s.io/apiserver
	// 1.36): so the last word is the server's.
	deleteTimeout = 40 * time.Second
	// syncTimeout bounds the time until a watch has listed all pods. A server that streams the list ends it with a bookmark,
	// which it may never send. Later requests of the watch are bounded by the transport, until the server begins its answer.
	syncTimeout = 60 * time.Second

	contentType       = "application/vnd.kubernetes.protobuf"
	acceptContentType = contentType + ",application/json"
)

// Client is a connection to the API server with this node's identity.
//
// The kubeconfig and the certificates it names are read once, when the client is opened. The kubelet rotates its
// certificate without touching the kubeconfig, so a client whose requests fail with an error for which IsIdentity is
// true is to be closed and opened again.
type Client struct {
	core        corev1client.CoreV1Interface
	transport   *http.Transport
	transform   cache.TransformFunc
	syncTimeout time.Duration
}

// Open reads the kubeconfig at path and makes a client of it. It sends no request: an API server that is away, or a
// certificate that it does not accept, shows in the first one.
func Open(path string) (*Client, error) {
	if path == "" {
		return nil, fmt.Errorf("failed to load kubeconfig: no path given")
	}

	config, err := Load(path)
	if err != nil {
		return nil, err
	}

	client, err := OpenConfig(config)
	if err != nil {
		return nil, fmt.Errorf("failed to use kubeconfig %q: %w", path, err)
	}

	return client, nil
}

// OpenConfig makes a client of a configuration, which it takes over, and reads the certificates that this names. It sends
// no request.
func OpenConfig(config *rest.Config) (*Client, error) {
	client, transport, err := HTTPClient(config)
	if err != nil {
		return nil, err
	}

	core, err := corev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}

	return &Client{core: core, transport: transport, transform: trim, syncTimeout: syncTimeout}, nil
}

// HTTPClient completes a configuration, reads the certificates that this names, and returns what requests are sent with:
// a client, and the transport below it, whose idle connections whoever has it closes in the end. It sends no request.
//
// The transport belongs to this client alone. Those that client-go makes are kept in a cache of the process, one for
// every certificate that ever was, and only the garbage collector may take them out again.
func HTTPClient(config *rest.Config) (*http.Client, *http.Transport, error) {
	config.UserAgent = UserAgent
	config.ContentType = contentType
	config.AcceptContentTypes = acceptContentType
	// The caller deletes a few pods at a time; a limit in the client would only hide that.
	config.QPS = -1

	// Left as files, the certificate would be read at every handshake, and nothing would look at it before the first.
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, nil, fmt.Errorf("failed to load the certificates: %w", err)
	}

	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to load the certificates: %w", err)
	}

	transport := utilnet.SetTransportDefaults(&http.Transport{
		Proxy:                 config.Proxy,
		TLSClientConfig:       tlsConfig,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext,
		ResponseHeaderTimeout: deleteTimeout,
		// What Close finds still in use must not linger.
		IdleConnTimeout: requestTimeout,
	})

	roundTripper, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, nil, err
	}

	return &http.Client{Transport: witness{roundTripper}}, transport, nil
}

// Load reads the kubeconfig at path and nothing else, not even the files that it names: clientcmd's own short cut takes the
// service account of the pod that it may be running in if the file turns out to be empty.
func Load(path string) (*rest.Config, error) {
	file, err := clientcmd.LoadFromFile(path)
	if err == nil {
		err = clientcmd.ResolveLocalPaths(file)
	}

	if err != nil {
		return nil, fmt.Errorf("failed to load kubeconfig %q: %w", path, err)
	}

	config, err := clientcmd.NewDefaultClientConfig(*file, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("failed to load kubeconfig %q: %w", path, err)
	}

	return config, nil
}

// Close closes the connections that no request is using. A watch ends with its own context.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
}

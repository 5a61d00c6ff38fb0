// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"net/http"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

var (
	Trim    = trim
	FactsOf = PodFacts
)

// AnswerTimeout is how long the first bytes of any answer may take.
func (c *Client) AnswerTimeout() time.Duration { return c.transport.ResponseHeaderTimeout }

// SetTransport replaces what requests are sent with.
func (c *Client) SetTransport(transport http.RoundTripper) (err error) {
	c.core, err = corev1client.NewForConfigAndClient(&rest.Config{Host: "https://127.0.0.1"}, &http.Client{Transport: witness{transport}})

	return err
}

// Transform is what every pod of a watch goes through.
func (c *Client) Transform() cache.TransformFunc { return c.transform }

// SetTransform replaces it. It is to be called before the watch.
func (c *Client) SetTransform(transform cache.TransformFunc) { c.transform = transform }

// SetSyncTimeout shortens how long a watch may take to tell of all pods. It is to be called before the watch.
func (c *Client) SetSyncTimeout(timeout time.Duration) { c.syncTimeout = timeout }

// SetRequestTimeout shortens how long the client waits for the first bytes of an answer. It is to be called before the
// first request.
func (c *Client) SetRequestTimeout(timeout time.Duration) {
	c.transport.ResponseHeaderTimeout = timeout
}

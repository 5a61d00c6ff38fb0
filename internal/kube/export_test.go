// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import "time"

var (
	Trim    = trim
	FactsOf = factsOf
)

// SetRequestTimeout shortens how long the client waits for the first bytes of an answer. It is to be called before the
// first request.
func (c *Client) SetRequestTimeout(timeout time.Duration) {
	c.transport.ResponseHeaderTimeout = timeout
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos

import "time"

// WithTimeout returns a client whose calls may take another time.
func (c *Client) WithTimeout(d time.Duration) *Client { return &Client{path: c.path, timeout: d} }

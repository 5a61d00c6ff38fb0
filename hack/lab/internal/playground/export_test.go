// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import "os"

// Claim is a lab's hold on its folder.
type Claim = claim

// The verbs that the tests go through.
var (
	OpenClaim = openClaim
	Quote     = quote
)

// Release gives the folder up.
func (c *claim) Release() error { return c.release() }

// Drop ends the claim as the death of the process does.
func (c *claim) Drop() error { return c.file.Close() }

// Describe says where the lab takes orders.
func (c *claim) Describe(socket string) error {
	return c.describe(description{PID: os.Getpid(), Socket: socket})
}

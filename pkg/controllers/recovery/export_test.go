// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

// WithConnect replaces how a connection to the API server is made.
func WithConnect(connect func(kubeconfigPath string) (Connection, error)) Option {
	return func(c *config) { c.connect = connect }
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kured

import "github.com/talos-rebound/rebound/hack/lab/component"

// Start starts any program as if it were kured.
func Start(folder string, env []string, log string, say func(line string), program string, args ...string) (*component.Process, error) {
	return account{folder: folder, host: "127.0.0.1", port: "6443"}.start(env, log, say, program, args...)
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent

import "time"

// BootTime is what the agent tells the controller about the boot.
func BootTime(c Config) (time.Time, error) { return c.bootTime() }

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package nodemeta

import "time"

// SetWatchTime shortens how long a watch lasts, and how much longer it may. It is to be called before the watch.
func (c *Client) SetWatchTime(lasts, slack time.Duration) { c.watchTime, c.watchSlack = lasts, slack }

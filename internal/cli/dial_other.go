// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build !linux

package cli

import (
	"net"
	"time"
)

// giveUpOnDeadPeer leaves it to the operating system when a connection is dead.
func giveUpOnDeadPeer(net.Conn, time.Duration) {}

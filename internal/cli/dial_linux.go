// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpOnDeadPeer ends a TCP connection when what was sent has not been acknowledged for that long. A connection that
// does not know of this stays as it is.
func giveUpOnDeadPeer(conn net.Conn, timeout time.Duration) {
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return
	}

	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}

	//nolint:errcheck // it is an improvement, not a condition
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
}

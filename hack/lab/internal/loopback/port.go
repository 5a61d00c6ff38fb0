// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package loopback finds free TCP ports on 127.0.0.1.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Address is where everything in the lab listens.
const Address = "127.0.0.1"

// The ports lie below the range from which Linux takes the local ports of
// outgoing connections (net.ipv4.ip_local_port_range starts at 32768). A port
// the kernel proposes for ":0" is from that range, and may be taken by some
// connection before the component it was meant for listens on it.
const (
	firstPort = 18000
	lastPort  = 32000
	attempts  = 200
)

// Ports hands out free ports, none of them twice. Its zero value is ready to
// use, and its method may be called concurrently.
type Ports struct {
	mu    sync.Mutex
	taken map[int]struct{}
}

// Take returns n ports on which nobody listens at the moment.
func (ports *Ports) Take(n int) ([]int, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()

	if ports.taken == nil {
		ports.taken = map[int]struct{}{}
	}

	free := make([]int, 0, n)
	lastErr := errors.New("every port tried was handed out before")

	for range attempts {
		if len(free) == n {
			return free, nil
		}

		port := firstPort + rand.IntN(lastPort-firstPort)

		if _, ok := ports.taken[port]; ok {
			continue
		}

		listener, err := net.Listen("tcp", HostPort(port))
		if err != nil {
			lastErr = err

			continue
		}

		if err = listener.Close(); err != nil {
			return nil, fmt.Errorf("failed to release port %d: %w", port, err)
		}

		ports.taken[port] = struct{}{}

		free = append(free, port)
	}

	return nil, fmt.Errorf("failed to find %d free ports between %d and %d: %w", n, firstPort, lastPort, lastErr)
}

// HostPort joins the loopback address and port.
func HostPort(port int) string {
	return net.JoinHostPort(Address, strconv.Itoa(port))
}

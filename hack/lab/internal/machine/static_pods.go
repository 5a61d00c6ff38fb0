// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"fmt"
	"net"
	"net/http"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

// serveStaticPods serves the list of static pods to the kubelet, as machined
// does, until the process ends, and returns its URL; "" without a list.
func (machine *machine) serveStaticPods() (string, error) {
	path := machine.config.StaticPodList
	if path == "" {
		return "", nil
	}

	listener, err := net.Listen("tcp", loopback.HostPort(0)) //nolint:noctx // it lives as long as the process
	if err != nil {
		return "", fmt.Errorf("failed to listen for the kubelet: %w", err)
	}

	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck,gosec // as above
		http.ServeFile(w, r, path)
	}))

	return "http://" + listener.Addr().String(), nil
}

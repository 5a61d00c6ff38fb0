// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package agent runs rebound's controller outside machined, on nodes that cannot be rebuilt: stock Talos, kubeadm, K3s, RKE2 and
// any host with systemd.
//
// It keeps a COSI state in memory. Watchers fill it with what Talos' own resources would say about the kubelet (package
// host), the controller that machined has acts on it, and a second one reports on the Node object. The agent has no rights
// of its own: it acts with the kubelet's identity. It ends at once when its context does, in the middle of a request if need
// be, since what ends it is the first sign of a shutdown.
package agent

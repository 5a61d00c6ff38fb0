// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package host tells what a host's kubelet is doing, as the COSI resources that Talos has for it.
//
// On Talos, machined maintains these resources, and rebound's controller inside machined acts on them. Elsewhere there is no
// machined. Here, small watchers maintain the same resources from what any host has: the kubelet's health endpoint, its
// kubeconfig, logind. So the controller is the same everywhere. The lab's stand-in for machined uses this package too.
package host

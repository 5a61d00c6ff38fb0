// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package scale reboots many nodes at once against one real control plane, and
// measures what that costs with rebound, with nothing but the deletes, and with
// what people use instead.
//
// The nodes have no containers. Each has a client certificate of its own, the real
// recovery controller on a COSI state of its own, and connections of its own; only
// its kubelet is a small stand-in, which does what the real one was recorded to do
// (internal/recovery/testdata/history) with the requests that the real one sends.
//
// A wave is one reboot of all nodes. Before it, the stand-ins reject pods for as
// long as it takes the DaemonSet controller to back off for a minute and more for
// every pod. Which back-offs it raises is taken from its log.
//
// Beside the waves there is BenchmarkRecovery: one node, whose client is a process of
// its own, so that what it takes can be told from what everything else takes.
package scale

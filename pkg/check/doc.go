// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package check tells whether the nodes of a cluster have their DaemonSet pods back after a reboot, and which pod of
// which DaemonSet is missing if not.
//
// Fetch asks the nodes through the Talos API, Judge turns what they answered into verdicts, and Wait does both until
// there is nothing left to wait for. AllRecovered has the shape of the cluster checks in Talos.
//
// A node whose Talos was built without rebound may have an agent, which reports on the Node object; Object says what that
// means. Talos mirrors the annotations of the Node into NodeStatus, so Fetch needs no Kubernetes for it.
//
// The state.State that they take is that of a Talos API client (client.Client.COSI); the context may carry what
// machinery's client puts there, except the nodes, which each request sets for itself. The package writes nothing and
// prints nothing.
package check

//go:generate go tool -modfile=../../hack/tools/go.mod enumer -type=Status,Outcome -linecomment -text -output=enums.generated.go

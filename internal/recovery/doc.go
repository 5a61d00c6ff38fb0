// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package recovery decides what to do about the DaemonSet pods that a reboot left Failed on this node.
//
// It is one pure function, Plan: facts and a point in time in, a Decision out. It knows no client, clock, context or
// logger and starts no goroutine; reading the facts and carrying out the decision is the controller's work. The rules
// are in gate.go (may anything be done?), classify.go (what is this pod?), daemonset.go (what about this DaemonSet?) and
// node.go (what about the node as a whole?).
package recovery

//go:generate go tool -modfile=../../hack/tools/go.mod enumer -type=Obstacle -linecomment -output=obstacle.generated.go

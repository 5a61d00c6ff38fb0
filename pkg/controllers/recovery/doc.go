// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package recovery has the controller that gives a rebooted node its DaemonSet pods back.
//
// It runs inside machined, with every other controller of Talos. Each pass reads what Talos and the API server say
// (read.go), lets the decision core make a plan of it, publishes the plan (publish.go) and carries it out (session.go).
// Nothing is decided here.
package recovery

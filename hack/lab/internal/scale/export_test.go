// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import "time"

// What the tests look into.
var (
	Percentile = percentile
	Exponent   = exponent
	Durations  = durations
	Rounds     = rounds
	Client     = client
)

// Point is a point of a curve.
func Point(x, y float64) PointT { return point{x, y} }

// Backoffs are the DaemonSet controller's.
type Backoffs struct{ *backoffs }

// NewBackoffs returns those of a controller that has just started.
func NewBackoffs() Backoffs { return Backoffs{newBackoffs()} }

// Raise enters that the back-off of a DaemonSet on the node was raised.
func (b Backoffs) Raise(node string, when time.Time) { b.raise(raise{place{node, "cni"}, when}) }

// Holds says whether it will not be deleted then.
func (b Backoffs) Holds(node string, when time.Time) bool { return b.holds(place{node, "cni"}, when) }

// ParseRaise returns the DaemonSet and the node of a line of the log.
func ParseRaise(line string, now time.Time) (daemonSet, node string, when time.Time, err error) {
	one, _, err := parseRaise(line, now)

	return one.at.daemonSet, one.at.node, one.when, err
}

// NewPeer is of a wave of so many nodes without rebound, of which some were whole.
func NewPeer(nodes int, took ...time.Duration) Peer {
	return newPeer(wave{help: "a sweep", nodes: nodes, took: took})
}

// PointT is what Point returns.
type PointT = point

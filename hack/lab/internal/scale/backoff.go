// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"time"

	"k8s.io/client-go/util/flowcontrol"
	clocktesting "k8s.io/utils/clock/testing"
)

// The DaemonSet controller's back-off (Kubernetes 1.36, pkg/controller/daemon).
const (
	backoffInitial = time.Second
	backoffLimit   = 15 * time.Minute
)

// backoffs are what the DaemonSet controller keeps in its memory: the same code
// that it has, fed with what it says that it has raised.
type backoffs struct {
	clock *clocktesting.FakeClock
	real  *flowcontrol.Backoff
}

func newBackoffs() *backoffs {
	clock := clocktesting.NewFakeClock(time.Time{})

	return &backoffs{clock: clock, real: flowcontrol.NewFakeBackOff(backoffInitial, backoffLimit, clock)}
}

// raise enters that the controller has raised a back-off. Those of one place are
// entered in the order of their times.
func (b *backoffs) raise(one raise) {
	b.clock.SetTime(one.when)
	b.real.Next(one.at.key(), one.when)
}

// holds says whether the controller will not yet delete a Failed pod at that time.
func (b *backoffs) holds(at place, when time.Time) bool {
	return b.real.IsInBackOffSinceUpdate(at.key(), when)
}

// of is how long the back-off of a place is.
func (b *backoffs) of(at place) time.Duration { return b.real.Get(at.key()) }

func (p place) key() string { return p.node + "/" + p.daemonSet }

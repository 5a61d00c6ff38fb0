// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

// Options are what a soak may be given.
type Options struct {
	// Time is how long it is, without what is done before and after.
	Time time.Duration
	// Seed decides what happens; zero for any.
	Seed uint64
	// Out is the folder for the report. It is created if need be.
	Out string
	// Rebound and Coordinator are binaries; those beside the running program if they
	// are empty. Manifests is the folder of the coordinator's manifests.
	Rebound, Coordinator, Manifests string
}

// check finds what is needed, before anything is started.
func (options *Options) check() (err error) {
	if options.Time < MinTime {
		return fmt.Errorf("--time is %s: at least %s are needed for anything to happen", options.Time, MinTime)
	}

	if options.Rebound, err = show.FindProgram(options.Rebound, "rebound"); err != nil {
		return err
	}

	if options.Coordinator, err = show.FindProgram(options.Coordinator, "rebound-coordinator"); err != nil {
		return err
	}

	if err = show.CheckManifests(options.Manifests); err != nil {
		return err
	}

	if options.Seed == 0 {
		options.Seed = 1 + rand.Uint64N(999_999) //nolint:gosec // any will do
	}

	// A folder that cannot be written to is better known before than after.
	return show.OpenFolder(options.Out)
}

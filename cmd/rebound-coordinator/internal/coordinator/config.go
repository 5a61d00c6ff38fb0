// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
)

// Config is what a coordinator runs with.
type Config struct {
	// Client is how to reach the API server.
	Client *rest.Config
	// LeaderElection is whether several of them may run; only one works. LeaseNamespace is where the Lease is; empty takes that
	// of the pod.
	LeaderElection bool
	LeaseNamespace string
	// LeaseDuration is how long the others wait for a leader that says nothing, RenewDeadline how long a leader that cannot say
	// anything goes on, RetryPeriod the time between two tries of either.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// Health and Metrics are the addresses to serve on; "0" for none.
	Health, Metrics string
	// Talos asks Talos APIs; nil if there is no talosconfig.
	Talos apply.TalosAPI
	// Evictions is how many pods are evicted at a time.
	Evictions int
	Logger    *zap.Logger
}

func (c *Config) validate() error {
	switch {
	case c.RetryPeriod <= 0:
		return errors.New("--retry-period must be greater than 0")
	case c.RenewDeadline <= c.RetryPeriod+c.RetryPeriod/5:
		return fmt.Errorf("--renew-deadline %s must be more than 1.2 times --retry-period %s", c.RenewDeadline, c.RetryPeriod)
	case c.LeaseDuration <= c.RenewDeadline+c.RetryPeriod:
		return fmt.Errorf("--lease-duration %s must be longer than --renew-deadline %s and --retry-period %s together, "+
			"or two would work at once", c.LeaseDuration, c.RenewDeadline, c.RetryPeriod)
	case c.Evictions < 1:
		return errors.New("--parallel-evictions must be at least 1")
	}

	return nil
}

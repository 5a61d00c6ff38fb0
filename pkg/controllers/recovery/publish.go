// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"fmt"
	"slices"

	"github.com/cosi-project/runtime/pkg/safe"

	"github.com/talos-rebound/rebound/internal/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// publish writes the decision where it differs from what was published before. It may be repeated: the outcomes of a
// DaemonSet are dropped as soon as its record is written, so that they are not entered twice if the rest fails.
//
// The DaemonSets come first: whoever sees the node recovered must not find a DaemonSet that is not.
func (p *pass) publish(ctx context.Context, was recovery.Facts, decision recovery.Decision) error {
	for id, spec := range decision.DaemonSets {
		if before, published := was.DaemonSets[id]; published && before == spec {
			continue
		}

		if err := safe.WriterModify(ctx, p.r, recoveryres.NewDaemonSetRecovery(id), func(res *recoveryres.DaemonSetRecovery) error {
			*res.TypedSpec() = spec

			return nil
		}); err != nil {
			return fmt.Errorf("failed to publish the recovery of DaemonSet %q: %w", id, err)
		}

		p.outcomes = slices.DeleteFunc(p.outcomes, func(outcome recovery.Outcome) bool { return outcome.DaemonSet == id })
	}

	for id := range was.DaemonSets {
		if _, kept := decision.DaemonSets[id]; kept {
			continue
		}

		if err := p.r.Destroy(ctx, recoveryres.NewDaemonSetRecovery(id).Metadata()); err != nil {
			return fmt.Errorf("failed to remove the recovery of DaemonSet %q: %w", id, err)
		}
	}

	if err := safe.WriterModify(ctx, p.r, recoveryres.NewRecoveryStatus(), func(res *recoveryres.RecoveryStatus) error {
		*res.TypedSpec() = decision.Status

		return nil
	}); err != nil {
		return fmt.Errorf("failed to publish the recovery status: %w", err)
	}

	p.outcomes = nil

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource/meta"
)

// Rebound is how a node runs rebound. The zero value is rebound's defaults.
type Rebound struct {
}

// controllers returns rebound's controllers as machined would construct them.
func (rebound *Rebound) controllers(root Root, booted time.Time) ([]controller.Controller, error) {
	if rebound == nil {
		return nil, nil
	}

	return nil, nil
}

// definitions returns rebound's resources. A node without rebound does not
// know them.
func (rebound *Rebound) definitions() []meta.ResourceWithRD {
	if rebound == nil {
		return nil
	}

	return nil
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read

import (
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// PolicyFacts returns a policy without its selectors.
func PolicyFacts(object *v1alpha1.RebootPolicy) reboot.Policy {
	policy, _ := policyFacts(object)

	return policy
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Diagnosis is what a node's diagnostics are to say about its recovery: one line that names DaemonSet, pod and cause.
// It is empty while nothing is Failed or missing, and so during a boot that goes well.
func Diagnosis(status recovery.RecoveryStatusSpec) string {
	open := status.Counts.Found - status.Counts.Recovered - status.Counts.Released

	switch {
	case status.Phase == specs.PhaseDegraded, status.Phase == specs.PhaseRecovering && open > 0:
		return "DaemonSet pods have not recovered after the reboot: " + OneLine(status.Message)
	default:
		return ""
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestADiagnosisNamesWhatIsWrongAndNothingElse(t *testing.T) {
	t.Parallel()

	const message = "kube-system/cilium: replacement cilium-x7k2p is Pending: ImagePullBackOff"

	for name, tc := range map[string]struct {
		status recovery.RecoveryStatusSpec
		says   string
	}{
		"nothing is known yet":          {recovery.RecoveryStatusSpec{Message: message}, ""},
		"waiting for the kubelet":       {recovery.RecoveryStatusSpec{Phase: specs.PhaseWaiting, Message: message}, ""},
		"settling in a boot without it": {recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovering, Message: message}, ""},
		"settling after all are back": {
			recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovering, Message: message, Counts: specs.Counts{Found: 3, Recovered: 2, Released: 1}}, "",
		},
		"recovering": {
			recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovering, Message: message, Counts: specs.Counts{Found: 3, Recovered: 1, Released: 1}},
			"DaemonSet pods have not recovered after the reboot: " + message,
		},
		"degraded": {
			recovery.RecoveryStatusSpec{Phase: specs.PhaseDegraded, Message: "kube-system/cilium:\ndenied"},
			"DaemonSet pods have not recovered after the reboot: kube-system/cilium: denied",
		},
		"recovered": {recovery.RecoveryStatusSpec{Phase: specs.PhaseRecovered, Message: message, Counts: specs.Counts{Found: 1, Recovered: 1}}, ""},
		"disabled":  {recovery.RecoveryStatusSpec{Phase: specs.PhaseDisabled, Message: message}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tc.says, check.Diagnosis(tc.status))
		})
	}
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestADryRunWritesNothing(t *testing.T) {
	boot(t, func(m *machine) {
		pod := m.cluster.create("cilium", leftover)
		m.up()
		after(time.Hour)

		assert.True(t, m.cluster.has(pod))
		assert.Empty(t, m.cluster.deleted())
		assert.Empty(t, m.cluster.recorded())
		assert.Empty(t, m.cluster.reports)
		assert.Equal(t, specs.PhaseRecovering, m.phase())
	}, recovery.WithDryRun(), recovery.WithNodeReport(specs.HostAgent))
}

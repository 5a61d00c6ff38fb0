// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// room is what the resource of a node has room for: a few names, and the words of a server about each.
const room = 4096

func TestTheWordsOfAServerAreBoundedAndPrintable(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = fails(apierrors.NewForbidden(podResource, "cilium-1", errors.New(ctest.Hostile())))
		m.upWith("cilium", leftover)
		after(time.Minute)

		assert.Equal(t, specs.PhaseDegraded, m.phase())
		ctest.AssertPrintable(t, m.status().Message, room)
		ctest.AssertPrintable(t, m.daemonSet("cilium").LastError, room)

		m.cluster.set(func() { m.cluster.away = errors.New(ctest.Hostile()) })
		m.kubeconfig("second")
		after(time.Minute)

		assert.Equal(t, specs.PhaseWaiting, m.phase())
		ctest.AssertPrintable(t, m.status().Message, room)

		for _, report := range m.cluster.reports {
			ctest.AssertPrintable(t, report.ConditionMessage(), 600)
			ctest.AssertPrintable(t, report.String(), 1024)
		}
	}, recovery.WithNodeReport(specs.HostMachined))
}

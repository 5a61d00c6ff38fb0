// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"testing"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// BenchmarkPlanOfAFullNode decides about 110 pods, the kubelet's default limit, of which every tenth is a leftover.
func BenchmarkPlanOfAFullNode(b *testing.B) {
	f := facts()

	for i := range 110 {
		f.Link.Pods = append(f.Link.Pods, podOf(fmt.Sprintf("ds-%d", i), fmt.Sprintf("pod-%d", i), because("NodeShutdown"), func(p *recovery.Pod) {
			p.Failed = i%10 == 0
		}))
	}

	if n := len(deletes(recovery.Plan(f, now))); n != 11 {
		b.Fatalf("%d deletes, not 11", n)
	}

	for b.Loop() {
		recovery.Plan(f, now)
	}
}

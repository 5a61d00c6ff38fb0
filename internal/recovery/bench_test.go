// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// everyLeftover is how many pods of a node there are to one that a reboot has left.
const everyLeftover = 10

// BenchmarkPlan decides about a node with so many pods, each of another DaemonSet, of which every tenth is a leftover. 110
// is the kubelet's default limit. So many further DaemonSets, with a pod each, have come back in this boot before.
func BenchmarkPlan(b *testing.B) {
	for _, pods := range []int{1, 10, 110, 500} {
		for _, earlier := range []int{0, 10, 100} {
			b.Run(fmt.Sprintf("pods=%d/earlier=%d", pods, earlier), func(b *testing.B) {
				f := fullNode(pods, earlier)
				require.Len(b, deletes(recovery.Plan(f, now)), leftoversOf(pods))

				for b.Loop() {
					recovery.Plan(f, now)
				}
			})
		}
	}
}

func TestPlanTakesMemoryInProportionToItsFacts(t *testing.T) {
	// In bytes: a copy of all pods for each of them would be one allocation each.
	cost := func(pods, earlier int) float64 {
		const times = 20

		var before, after runtime.MemStats

		f := fullNode(pods, earlier)
		recovery.Plan(f, now)
		runtime.ReadMemStats(&before)

		for range times {
			recovery.Plan(f, now)
		}

		runtime.ReadMemStats(&after)

		return float64(after.TotalAlloc-before.TotalAlloc) / times
	}

	assert.LessOrEqual(t, cost(500, 0), 7*cost(100, 0), "five times the pods")
	assert.LessOrEqual(t, cost(500, 0), 3*1024*500.0, "each pod")
	assert.LessOrEqual(t, cost(1, 100), 5*1024*100.0, "each record with its pod")
}

func leftoversOf(pods int) int { return (pods + everyLeftover - 1) / everyLeftover }

func fullNode(pods, earlier int) recovery.Facts {
	f := facts()

	for i := range pods {
		f.Link.Pods = append(f.Link.Pods, podOf(fmt.Sprintf("ds-%d", i), fmt.Sprintf("pod-%d", i), because("NodeShutdown"), func(p *recovery.Pod) {
			p.Failed, p.Ready = i%everyLeftover == 0, i%everyLeftover != 0
		}))
	}

	f.DaemonSets = map[string]specs.DaemonSetRecovery{}

	for i := range earlier {
		pod := podOf(fmt.Sprintf("earlier-%d", i), fmt.Sprintf("earlier-pod-%d", i), func(p *recovery.Pod) { p.Failed, p.Ready = false, true })
		f.Link.Pods = append(f.Link.Pods, pod)
		f.DaemonSets[pod.DaemonSetID()] = specs.DaemonSetRecovery{
			UID: pod.Owner.UID, FailedPod: "gone", FailedPodUID: "uid-gone", Phase: specs.DaemonSetPhaseRecovered,
			Attempts: 1, Deleted: 1, AttemptedAt: booted, DeletedAt: booted, FinishedAt: booted, Replacement: pod.Name,
		}
	}

	return f
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/talos-rebound/rebound/internal/reboot"
)

// BenchmarkPlan decides about 5,000 nodes with 20 pods each, half of which wait for their reboot. In the first case all of
// them could go and the slots are taken; in the second one every node is held by a budget, so that all of its pods are
// looked at.
func BenchmarkPlan(b *testing.B) {
	for _, bc := range []struct {
		name    string
		allowed int
	}{
		{"of nodes that wait for a slot", 1}, {"of nodes that are blocked", 0},
	} {
		b.Run(bc.name, func(b *testing.B) {
			f := largeCluster(bc.allowed)

			if n := reboot.Plan(f, now).Waiting; n < 2400 {
				b.Fatalf("only %d wait", n)
			}

			for b.Loop() {
				reboot.Plan(f, now)
			}
		})
	}
}

func largeCluster(allowed int) reboot.Facts {
	const (
		nodes        = 5000
		podsOfNode   = 20
		budgets      = 500
		underWay     = 50
		everyControl = 1000
	)

	f := facts(atATime(underWay), ofThePolicy(reboot.Limit{Percent: 10}))
	delete(f.Nodes, "a")
	delete(f.Reboots, "a")

	for i := range budgets {
		f.PodBudgets[fmt.Sprintf("shop/web-%d", i)] = reboot.PodBudget{Current: true, Allowed: allowed}
	}

	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)

		node(name, func(n *reboot.Node) { n.ControlPlane = i%everyControl == 0 })(&f)

		if i%2 == 0 {
			asks(name, func(r *reboot.Reboot) { r.Created = now.Add(-time.Duration(i) * time.Second) })(&f)
		}

		for j := range podsOfNode {
			f.Pods[name] = append(f.Pods[name], pod(fmt.Sprintf("web-%d-%d", i, j), func(p *reboot.Pod) {
				p.Budgets = []string{fmt.Sprintf("shop/web-%d", (i+j)%budgets)}
			}))
		}
	}

	for i := range underWay {
		in(fmt.Sprintf("node-%d", 2*i+2), reboot.PhaseGranted, time.Minute)(&f)
	}

	return f
}

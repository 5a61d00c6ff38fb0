// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"strings"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// device is what the pods of a DaemonSet ask for that the kubelet rejects.
	device = "example.com/accelerator"
	// deviceDelay is long enough for some rejections: the kubelet tells of those of
	// its first seconds when ten have passed.
	deviceDelay = 20 * time.Second
	// deviceDeletes is how many pods are deleted in that time at the most, at 0, 1, 2,
	// 4, 8 and 16 s.
	deviceDeletes = 6

	clockEnd = "recovered (DaemonSets: 2 recovered), the pod of the last boot was deleted once, those of this boot with growing delays, and all pods are Ready"
)

// clockRows are about the machine's wall clock. The time of boot is told by it,
// and by that a pod of this boot from one of the last.
func clockRows() []Row {
	row := func(name, when string, atBoot, later time.Duration) Row {
		return Row{
			Name: name, Fault: "the machine's wall clock is wrong", When: when, Lasts: "until it is set, when the first pod of this boot was rejected",
			End: clockEnd, Requests: 60, Play: playClock(atBoot, later),
		}
	}

	ahead := row("the clock is stepped an hour forward", "while recovering", 0, time.Hour)
	ahead.Lasts, ahead.Quick = "for ever", true

	behind := row("the clock is stepped an hour back", "while recovering", 0, -time.Hour)
	behind.Lasts = "for ever"

	return []Row{
		row("the clock is an hour behind when the node boots", "from boot on", -time.Hour, 0),
		row("the clock is an hour ahead when the node boots", "from boot on", time.Hour, 0),
		ahead,
		behind,
	}
}

// playClock boots a node, with a clock that is off, on which there are a pod of
// the last boot and one that the kubelet rejects, and sets the clock in the
// middle.
func playClock(atBoot, later time.Duration) func(*Stage) (string, error) {
	return func(s *Stage) (string, error) {
		node := s.fail(lab.WithRebound(), lab.WithDeviceAfter(device, deviceDelay))
		s.Apply("driver", lab.Requests(device))
		node.SetClock(atBoot)
		must(node.Start(s.ctx))

		node.AwaitRecord("driver", func(record specs.DaemonSetRecovery) bool { return record.Rejections > 0 })
		node.SetClock(later)

		status := node.AwaitPhase(specs.PhaseRecovered)
		must1(node.WaitDaemonSetPodsReady(s.ctx))

		ofLast, ofThis := len(node.DeletesOf("proxy")), len(node.DeletesOf("driver"))
		s.Check(ofLast == 1, "pods of proxy deleted: %d", ofLast)
		s.Check(ofThis > 0 && ofThis <= deviceDeletes, "pods of driver deleted: %d", ofThis)

		record := node.Records()["driver"]
		s.Check(record.Rejections == record.Attempts, "of %d deletes of driver, %d count as rejections", record.Attempts, record.Rejections)

		return phaseName(status.Phase) + " (" + s.Plain(status.Message) + "), the pod of the last boot was deleted once, " +
			"those of this boot with growing delays, and all pods are Ready", nil
	}
}

// SetClock sets the machine's clock for the time of the row.
func (n *Node) SetClock(off time.Duration) { must(n.Node.SetClock(n.stage.ctx, off)) }

// DeletesOf returns the deletes of the DaemonSet's pods by rebound on the node.
func (n *Node) DeletesOf(daemonSet string) []lab.AuditRecord {
	return n.stage.Audit(func(record lab.AuditRecord) bool {
		return record.IsOfRebound(n.Name()) && record.DeletesPod() && strings.HasPrefix(record.Name, daemonSet+"-")
	})
}

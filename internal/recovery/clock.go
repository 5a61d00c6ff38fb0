// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"maps"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// clockTolerance is how far the time of the boot may seem to move before the clock counts as set: two clocks are read one
// after the other to tell it.
const clockTolerance = time.Second

// followClock moves the published times to the present clock, if that was set since. All of them move by as much as the
// time of the boot did, so every wait stays as long as it was. (A pause of a virtual machine that CLOCK_BOOTTIME does not
// count looks the same, and is treated the same.)
//
// Each resource says which clock its times are on: they are written one after the other, and the rest may not be written.
func (p *planner) followClock() {
	p.bootedAt = p.facts.Boot.Time.UTC().Round(0)
	if p.bootedAt.IsZero() {
		return
	}

	was := p.facts.Status.BootedAt
	if step := p.setSince(was); step != 0 {
		move(step, &p.facts.Status.StartedAt, &p.facts.Status.FinishedAt)
	} else if !was.IsZero() {
		p.bootedAt = was // no news
	}

	p.facts.DaemonSets = maps.Clone(p.facts.DaemonSets)

	for id, rec := range p.facts.DaemonSets {
		if step := p.setSince(rec.BootedAt); step != 0 {
			move(step, &rec.BootedAt, &rec.AttemptedAt, &rec.DeletedAt, &rec.NextAttemptAt, &rec.FinishedAt)
			p.facts.DaemonSets[id] = rec
		}
	}
}

// setSince returns by how much the clock was set since it gave the time of the boot as was; zero if it was not.
func (p *planner) setSince(was time.Time) time.Duration {
	if step := p.bootedAt.Sub(was); !was.IsZero() && step.Abs() >= clockTolerance {
		return step
	}

	return 0
}

// move moves the times that are known.
func move(step time.Duration, times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(step)
		}
	}
}

// isFromThisBoot tells whether the kubelet first saw the pod in this boot. The times of pods do not move when the clock is
// set. So they are compared with the earliest time of the boot: that may take a leftover for a pod of this boot, and its
// reason still tells what it is, but it takes no pod of this boot for a leftover. What the clock said before the kubelet
// first came up does not count, as that may have been anything.
//
// A pod that was shut down cannot have started in the future: the clock was ahead before this boot.
func (p *planner) isFromThisBoot(pod Pod) bool {
	if pod.since().After(p.now) && slices.Contains(shutdownReasons, pod.Reason) {
		return false
	}

	return !pod.since().Before(p.leftoversBefore)
}

// earliestBoot returns the time before which a pod must have started to be of an earlier boot.
func (p *planner) earliestBoot() time.Time {
	was := p.facts.Status.LeftoversBefore
	if was.IsZero() || p.bootedAt.Before(was) {
		return p.bootedAt
	}

	return was
}

// publishClock enters what the next decision has to know about the clock.
func (p *planner) publishClock(status *specs.RecoveryStatus) {
	status.BootedAt = p.facts.Status.BootedAt
	if !p.facts.Boot.Time.IsZero() {
		status.BootedAt = p.bootedAt
	}

	status.LeftoversBefore = p.facts.Status.LeftoversBefore
	if p.facts.Gate.KubeletRunning && !p.facts.Boot.Time.IsZero() {
		status.LeftoversBefore = p.leftoversBefore
	}

	status.KubeletStart = p.facts.Gate.KubeletStart
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// closedStatus is the node's status while the gate is closed.
func (p *planner) closedStatus(found Obstacle, message string, records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := p.baseStatus(records)
	status.Phase, status.Message = specs.PhaseWaiting, message

	if p.local == ObstacleNone {
		status.StartedAt = p.facts.Status.StartedAt
	}

	if found == ObstacleDisabled {
		status.Phase = specs.PhaseDisabled
	}

	return status
}

// openStatus is the node's status while the gate is open, but for its phase and message.
func (p *planner) openStatus(records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := p.baseStatus(records)
	status.StartedAt = p.facts.Status.StartedAt

	if was := p.facts.Status; was.StartedAt.IsZero() || !was.FinishedAt.IsZero() {
		status.StartedAt = p.now
	}

	return status
}

func (p *planner) baseStatus(records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	return specs.RecoveryStatus{
		// What is not known now was known before: a node that is renamed has no name for a moment.
		BootID:   cmp.Or(p.facts.Boot.ID, p.facts.Status.BootID),
		NodeName: cmp.Or(p.facts.Gate.NodeName, p.facts.Status.NodeName),
		Counts:   count(records),
	}
}

// nodeStatus sums up the records: the node's phase, its message, and the time at which it may count as recovered.
func (p *planner) nodeStatus(records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := p.openStatus(records)

	var stuck, open []string

	quietSince := p.facts.Link.SyncedAt

	for _, id := range slices.Sorted(maps.Keys(records)) {
		rec := records[id]

		switch rec.Phase {
		case specs.DaemonSetPhaseBlocked, specs.DaemonSetPhaseExhausted:
			stuck = append(stuck, p.describe(id, rec))
		case specs.DaemonSetPhasePending, specs.DaemonSetPhaseReplacing:
			open = append(open, p.describe(id, rec))
		case specs.DaemonSetPhaseRecovered, specs.DaemonSetPhaseReleased:
			if rec.FinishedAt.After(quietSince) {
				quietSince = rec.FinishedAt
			}
		case specs.DaemonSetPhaseSkipped, specs.DaemonSetPhaseUnrelated:
		}
	}

	settledAt := quietSince.Add(p.facts.Settings.SettleTime)

	switch {
	case len(stuck) > 0:
		status.Phase, status.Message = specs.PhaseDegraded, join(append(stuck, open...))
	case len(open) > 0:
		status.Phase, status.Message = specs.PhaseRecovering, join(open)
	case p.now.Before(settledAt):
		status.Phase = specs.PhaseRecovering
		status.Message = fmt.Sprintf("%s; watching until nothing fails for %s", summary(status.Counts), p.facts.Settings.SettleTime)
		p.wakeAt(settledAt)
	default:
		status.Phase, status.Message = specs.PhaseRecovered, summary(status.Counts)
		status.FinishedAt = p.now
	}

	return status
}

// describe names a DaemonSet, its pod and what it waits for.
func (p *planner) describe(id string, rec specs.DaemonSetRecovery) string {
	switch rec.Phase {
	case specs.DaemonSetPhaseBlocked:
		return fmt.Sprintf("%s: cannot delete %s: %s", id, rec.FailedPod, rec.LastError)
	case specs.DaemonSetPhaseExhausted:
		return fmt.Sprintf("%s: %s failed again after %d deletes (%s); left to the DaemonSet controller",
			id, rec.FailedPod, p.facts.Settings.RejectionCap, rec.Reason)
	case specs.DaemonSetPhasePending:
		switch {
		case rec.LastError != "":
			return fmt.Sprintf("%s: failed to delete %s: %s", id, rec.FailedPod, rec.LastError)
		case !rec.NextAttemptAt.IsZero():
			return fmt.Sprintf("%s: %s is Failed (%s); to be deleted at %s",
				id, rec.FailedPod, rec.Reason, rec.NextAttemptAt.Format(time.TimeOnly))
		default:
			return fmt.Sprintf("%s: deleting %s, which is Failed%s", id, rec.FailedPod, inParentheses(rec.Reason))
		}
	case specs.DaemonSetPhaseReplacing:
		if rec.Replacement != "" {
			return fmt.Sprintf("%s: replacement %s is %s", id, rec.Replacement, rec.ReplacementStatus)
		}

		if rec.DeletedAt.IsZero() {
			return fmt.Sprintf("%s: waiting for %s to end, which is being deleted", id, rec.FailedPod)
		}

		if p.now.Before(p.waitingSince(rec).Add(releaseAfter)) {
			return fmt.Sprintf("%s: waiting for the replacement of %s", id, rec.FailedPod)
		}

		return fmt.Sprintf("%s: no pod has replaced %s, and no DaemonSet has created one here since: is kube-controller-manager running?",
			id, rec.FailedPod)
	case specs.DaemonSetPhaseRecovered, specs.DaemonSetPhaseReleased, specs.DaemonSetPhaseSkipped, specs.DaemonSetPhaseUnrelated:
	}

	return id
}

// join names the first few and counts the rest.
func join(all []string) string {
	if len(all) <= namedInMessage {
		return strings.Join(all, "; ")
	}

	return fmt.Sprintf("%s; and %d more", strings.Join(all[:namedInMessage], "; "), len(all)-namedInMessage)
}

// summary says what was done.
func summary(c specs.Counts) string {
	var parts []string

	for _, part := range []struct {
		n    int
		text string
	}{
		{c.Recovered, "recovered"},
		{c.Released, "no longer wanted here"},
		{c.Skipped, "opted out"},
		{c.Unrelated, "failed for another reason"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.text))
		}
	}

	if len(parts) == 0 {
		return "no Failed DaemonSet pods"
	}

	return "DaemonSets: " + strings.Join(parts, ", ")
}

// count sums up the records.
func count(records map[string]specs.DaemonSetRecovery) specs.Counts {
	var c specs.Counts

	for _, rec := range records {
		c.Deleted += rec.Deleted

		switch rec.Phase {
		case specs.DaemonSetPhaseSkipped:
			c.Skipped++

			continue
		case specs.DaemonSetPhaseUnrelated:
			c.Unrelated++

			continue
		case specs.DaemonSetPhaseRecovered:
			c.Recovered++
		case specs.DaemonSetPhaseReleased:
			c.Released++
		case specs.DaemonSetPhaseExhausted:
			c.Exhausted++
		case specs.DaemonSetPhaseBlocked:
			c.Blocked++
		case specs.DaemonSetPhasePending, specs.DaemonSetPhaseReplacing:
		}

		c.Found++
	}

	return c
}

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// closedStatus is the node's status while the gate is closed.
func (p *planner) closedStatus(found Obstacle, message string, records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := p.baseStatus(records)
	status.Phase, status.Message, status.Obstacle = specs.PhaseWaiting, message, found.String()

	switch {
	case p.local == ObstacleNone:
		status.StartedAt = p.startedAt
	case p.isSameKubelet() && p.facts.Status.FinishedAt.IsZero():
		// A health check that fails for a moment is no new start.
		status.StartedAt = p.facts.Status.StartedAt
	}

	switch found { //nolint:exhaustive // the others are waited for
	case ObstacleDisabled:
		status.Phase = specs.PhaseDisabled
	case ObstacleMachined:
		// It is so until the kubelet starts again.
		status.Phase, status.FinishedAt = specs.PhaseDisabled, p.now
	}

	return status
}

// openStatus is the node's status while the gate is open, but for its phase and message.
func (p *planner) openStatus(records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := p.baseStatus(records)
	status.StartedAt = p.startedAt

	return status
}

// finishedStatus is the status of a node that has recovered. Only the clock, and a delete that ended late, can change it.
func (p *planner) finishedStatus(records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := p.facts.Status
	status.Counts = count(records)
	p.publishClock(&status)

	return status
}

func (p *planner) baseStatus(records map[string]specs.DaemonSetRecovery) specs.RecoveryStatus {
	status := specs.RecoveryStatus{
		// What is not known now was known before: a node that is renamed has no name for a moment.
		BootID:   cmp.Or(p.facts.Boot.ID, p.facts.Status.BootID),
		NodeName: cmp.Or(p.facts.Gate.NodeName, p.facts.Status.NodeName),
		Counts:   count(records),
	}
	p.publishClock(&status)

	return status
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
		status.Message = fmt.Sprintf("%s; watching until nothing fails for %s", summary(records), p.facts.Settings.SettleTime)
		p.wakeAt(settledAt)
	default:
		status.Phase, status.Message = specs.PhaseRecovered, summary(records)
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

		return p.describeMissing(id, rec)
	case specs.DaemonSetPhaseRecovered, specs.DaemonSetPhaseReleased, specs.DaemonSetPhaseSkipped, specs.DaemonSetPhaseUnrelated:
	}

	return id
}

// describeMissing says what is known about a replacement that does not come.
func (p *planner) describeMissing(id string, rec specs.DaemonSetRecovery) string {
	switch {
	case p.now.Before(p.waitingSince(rec).Add(missedAfter)):
		return fmt.Sprintf("%s: waiting for the replacement of %s", id, rec.FailedPod)
	case p.hasSignOfLife(rec):
		return fmt.Sprintf("%s: no pod has replaced %s, though other DaemonSets have created theirs: %q may tell why",
			id, rec.FailedPod, describeCommand(id, rec))
	default:
		return fmt.Sprintf("%s: no pod has replaced %s, and no DaemonSet has created one here since: is kube-controller-manager running?",
			id, rec.FailedPod)
	}
}

// describeCommand shows the events of a DaemonSet, which the node itself may not read.
func describeCommand(id string, rec specs.DaemonSetRecovery) string {
	namespace, name := path.Split(id)
	kind := "daemonset"

	if rec.APIGroup != GroupApps {
		namespace = strings.TrimSuffix(namespace, rec.APIGroup+"/")
		kind += "." + rec.APIGroup
	}

	return fmt.Sprintf("kubectl -n %s describe %s %s", strings.TrimSuffix(namespace, "/"), kind, name)
}

// join names the first few and counts the rest.
func join(all []string) string {
	if len(all) <= namedInMessage {
		return strings.Join(all, "; ")
	}

	return fmt.Sprintf("%s; and %d more", strings.Join(all[:namedInMessage], "; "), len(all)-namedInMessage)
}

// summary says what was done. It names what did not come back, as that may be a fault.
func summary(records map[string]specs.DaemonSetRecovery) string {
	var parts, missing []string

	for _, id := range slices.Sorted(maps.Keys(records)) {
		if isReleased(records[id]) {
			missing = append(missing, id)
		}
	}

	c := count(records)

	for _, part := range []struct {
		n    int
		text string
	}{
		{c.Recovered, "recovered"},
		{c.Released, fmt.Sprintf("did not come back (%s)", join(missing))},
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

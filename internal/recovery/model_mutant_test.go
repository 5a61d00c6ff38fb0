// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// mutant is a mistake of rebound: in what the plan says, in what it is fed, or in how it is carried out. The model has to
// notice each of them.
type mutant string

const (
	noMutant         mutant = ""
	deletesUnrelated mutant = "pods that failed for another reason are deleted"
	deletesOptedOut  mutant = "pods that have opted out are deleted"
	deletesForeign   mutant = "pods that are no DaemonSet's are deleted"
	deletesLiving    mutant = "pods that are not Ready are deleted"
	deletesDeleting  mutant = "pods that are being deleted are deleted"
	waitsForNothing  mutant = "deletes that have to wait are carried out at once"
	hasNoCap         mutant = "there is no cap"
	forgetsCount     mutant = "the count of rejections is not published"
	looksAtOnce      mutant = "it is looked again at once"
	looksNever       mutant = "it is never looked again"
	namesNobody      mutant = "the message does not name the DaemonSet"
	recoversEarly    mutant = "the node has recovered while something is replaced"
	releasesAtOnce   mutant = "a DaemonSet without a pod is released at once"
	settlesAtOnce    mutant = "a Failed pod that was deleted is forgotten"
	neverConnects    mutant = "the connection is closed in the middle of a recovery"
	bootTooLate      mutant = "the time of boot is an hour too late"
	noLocalCheck     mutant = "a delete is sent without another look at the machine"
	noNodeCheck      mutant = "a delete is sent without another look at the Node"
	appliesFirst     mutant = "deletes are carried out before they are published"
	ignoresOutcomes  mutant = "how deletes ended is not told"
)

// plan is Plan, with the mistake.
func (m mutant) plan(facts recovery.Facts, now time.Time) recovery.Decision {
	switch m {
	case hasNoCap:
		facts.Settings.RejectionCap = 1000
	case bootTooLate:
		facts.Boot.Time = facts.Boot.Time.Add(time.Hour)
	case ignoresOutcomes:
		facts.Outcomes = nil
	default:
	}

	decision := recovery.Plan(facts, now)

	for i := range decision.Verdicts {
		if v := &decision.Verdicts[i]; m.deletes(v) {
			v.Action = recovery.ActionDelete
		}
	}

	return m.result(decision, now)
}

func (m mutant) deletes(v *recovery.Verdict) bool {
	switch m {
	case deletesUnrelated:
		return v.Class == recovery.ClassUnrelated
	case deletesOptedOut:
		return v.Class == recovery.ClassOptedOut
	case deletesForeign:
		return v.Class == recovery.ClassForeign && v.Pod.Failed
	case deletesLiving:
		return v.Class == recovery.ClassAlive && !v.Pod.Ready
	case deletesDeleting:
		return v.Class == recovery.ClassDeleting
	case waitsForNothing:
		return v.Action == recovery.ActionWait && !v.NotBefore.IsZero()
	default:
		return false
	}
}

func (m mutant) result(decision recovery.Decision, now time.Time) recovery.Decision {
	status := &decision.Status
	isRecovering := status.Phase == specs.PhaseRecovering && decision.Obstacle == recovery.ObstacleNone

	switch m {
	case looksAtOnce:
		if !decision.LookAgain.IsZero() {
			decision.LookAgain = now
		}
	case looksNever:
		decision.LookAgain = time.Time{}
	case namesNobody:
		status.Message = "something is wrong"
	case recoversEarly:
		if isRecovering {
			status.Phase, status.FinishedAt = specs.PhaseRecovered, now
		}
	case neverConnects:
		decision.Connect = decision.Connect && !isRecovering
	default:
		m.changeRecords(decision.DaemonSets, now)
	}

	return decision
}

func (m mutant) changeRecords(records map[string]specs.DaemonSetRecovery, now time.Time) {
	for id, rec := range records {
		if rec.Phase != specs.DaemonSetPhaseReplacing {
			continue
		}

		switch m {
		case releasesAtOnce:
			if rec.Replacement == "" && !rec.DeletedAt.IsZero() {
				rec.Phase, rec.FinishedAt = specs.DaemonSetPhaseReleased, now
				records[id] = rec
			}
		case settlesAtOnce:
			delete(records, id)
		default:
		}
	}
}

// remember is what is published of a record.
func (m mutant) remember(rec specs.DaemonSetRecovery) specs.DaemonSetRecovery {
	if m == forgetsCount {
		rec.Rejections = 0
	}

	return rec
}

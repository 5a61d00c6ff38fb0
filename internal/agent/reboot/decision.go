// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"fmt"
	"time"

	"github.com/talos-rebound/rebound/internal/backoff"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// stillUpTime is how long a machine may be up after its reboot was agreed to before it is asked for again. A graceful
	// shutdown takes minutes.
	stillUpTime = 5 * time.Minute
	// retryDelay is the time after the first reboot that failed until the next try. It doubles up to retryLimit.
	retryDelay = 5 * time.Second
	retryLimit = 5 * time.Minute
	// rereadTime is the time between two tries to read the boot id.
	rereadTime = time.Minute
)

// Facts is everything that a decision depends on.
type Facts struct {
	// Now is on the same clock as the times in Wish and Attempt.
	Now time.Time
	// BootID is the present boot, as the kernel says just now; empty if that cannot be read.
	BootID string
	// Wish is what the host says.
	Wish Wish
	// HasNode is whether the Node was read and exists. Report and Grant are the values of its annotations, empty if it has
	// none.
	HasNode       bool
	Report, Grant string
	// Attempt is what this process has made of a grant so far.
	Attempt Attempt
	// Obstacle is why a reboot could not work now; empty if it could.
	Obstacle string
}

// Attempt is what became of a grant in this process. The zero value is that there was none.
type Attempt struct {
	Grant v1alpha1.Grant
	// UnderWay is whether a reboot is being asked for.
	UnderWay bool
	// Agreed and Failed count how often that was agreed to, and how often it has failed since.
	Agreed, Failed int
	// At is when the last one ended.
	At time.Time
	// Problem is why the machine has not been rebooted; empty while all is well.
	Problem string
}

// Begin is an attempt whose reboot is being asked for. Another grant than before begins anew.
func (a Attempt) Begin(grant v1alpha1.Grant) Attempt {
	if a.Grant != grant {
		a = Attempt{Grant: grant}
	}

	a.UnderWay = true

	return a
}

// End is an attempt whose reboot was agreed to, or not if there is an error.
func (a Attempt) End(now time.Time, err error) Attempt {
	a.UnderWay, a.At = false, now

	switch {
	case err != nil:
		a.Failed++
		a.Problem = err.Error()
	case a.Agreed > 0:
		a.Agreed, a.Failed = a.Agreed+1, 0
		a.Problem = fmt.Sprintf("the machine was still up after its reboot had been agreed to; agreed to %d times by now", a.Agreed)
	default:
		a.Agreed, a.Failed, a.Problem = 1, 0, ""
	}

	return a
}

// Verdict is what a grant leads to.
type Verdict string

const (
	// VerdictNone means that there is no grant.
	VerdictNone Verdict = "none"
	// VerdictMalformed means that there is one which cannot be read, or which names no NodeReboot or no boot.
	VerdictMalformed Verdict = "malformed"
	// VerdictUnknownBoot means that it cannot be told whether the grant is for this boot.
	VerdictUnknownBoot Verdict = "unknown-boot"
	// VerdictOtherBoot means that the grant is for another boot, most often the last one.
	VerdictOtherBoot Verdict = "other-boot"
	// VerdictReboot means that the machine is to be rebooted now.
	VerdictReboot Verdict = "reboot"
	// VerdictUnderWay means that the reboot is being asked for.
	VerdictUnderWay Verdict = "under-way"
	// VerdictAgreed means that the reboot was agreed to, and that the machine should go down any moment.
	VerdictAgreed Verdict = "agreed"
	// VerdictFailed means that the reboot has failed, and is tried again later.
	VerdictFailed Verdict = "failed"
)

// Counts tells whether the grant is one for the present boot. It stays so until the machine goes down.
func (v Verdict) Counts() bool {
	switch v {
	case VerdictReboot, VerdictUnderWay, VerdictAgreed, VerdictFailed:
		return true
	case VerdictNone, VerdictMalformed, VerdictUnknownBoot, VerdictOtherBoot:
	}

	return false
}

// Plan is what is to be done.
type Plan struct {
	Verdict Verdict
	// Reason is why, for people.
	Reason string
	// Grant is the one that counts; zero if none does.
	Grant v1alpha1.Grant
	// Report is what the Node is to say. Write is whether it says something else.
	Report v1alpha1.AgentReport
	Write  bool
	// NextAt is when to decide again although nothing has changed; zero if that is not needed.
	NextAt time.Time
}

// Decide makes a plan. The same facts give the same plan.
func Decide(facts Facts) Plan {
	plan := facts.judge()
	plan.Report = facts.report(plan)

	if facts.BootID == "" {
		plan.NextAt = facts.Now.Add(rereadTime)
	}

	// Without a boot id the report would say nothing to anybody, and without a Node it has no place.
	plan.Write = facts.HasNode && facts.BootID != "" && plan.Report.String() != facts.Report

	return plan
}

// judge is what the grant leads to. A grant that is not clearly one for the present boot leads to nothing.
func (f Facts) judge() Plan {
	if f.Grant == "" {
		return Plan{Verdict: VerdictNone}
	}

	grant, err := v1alpha1.ParseGrant(f.Grant)

	switch {
	case err != nil:
		return Plan{Verdict: VerdictMalformed, Reason: err.Error()}
	case grant.UID == "" || grant.BootID == "":
		return Plan{Verdict: VerdictMalformed, Reason: fmt.Sprintf("%q does not name both a NodeReboot and a boot", f.Grant)}
	case f.BootID == "":
		return Plan{Verdict: VerdictUnknownBoot, Reason: fmt.Sprintf("it is for boot %q, and the present one cannot be told", grant.BootID)}
	case grant.BootID != f.BootID:
		return Plan{Verdict: VerdictOtherBoot, Reason: fmt.Sprintf("it is for boot %q, and this is %q", grant.BootID, f.BootID)}
	}

	plan := f.Attempt.next(grant, f.Now)
	plan.Grant = grant

	return plan
}

// next is what to do about a grant that counts.
func (a Attempt) next(grant v1alpha1.Grant, now time.Time) Plan {
	switch {
	case a.UnderWay:
		return Plan{Verdict: VerdictUnderWay}
	case a.Grant != grant:
		return Plan{Verdict: VerdictReboot, Reason: "it is for this boot"}
	case a.Failed > 0:
		if at := a.At.Add(backoff.Delay(a.Failed, retryDelay, retryLimit)); now.Before(at) {
			return Plan{Verdict: VerdictFailed, Reason: a.Problem, NextAt: at}
		}

		return Plan{Verdict: VerdictReboot, Reason: "it failed before and is tried again"}
	default:
		if at := a.At.Add(stillUpTime); now.Before(at) {
			return Plan{Verdict: VerdictAgreed, NextAt: at}
		}

		return Plan{Verdict: VerdictReboot, Reason: fmt.Sprintf("the machine is still up %s after that was agreed to", stillUpTime)}
	}
}

// report is what the Node is to say.
func (f Facts) report(plan Plan) v1alpha1.AgentReport {
	report := v1alpha1.AgentReport{BootID: f.BootID, Problem: f.Obstacle}

	if plan.Verdict.Counts() && f.Attempt.Grant == plan.Grant && f.Attempt.Problem != "" {
		report.Problem = f.Attempt.Problem
	}

	// What the Node says of this boot was said by an agent that has been restarted, or by this one.
	said, err := v1alpha1.ParseAgentReport(f.Report)
	if err != nil || said.BootID != f.BootID {
		said = v1alpha1.AgentReport{}
	}

	switch {
	case f.Wish.Wanted:
		report.Wanted, report.Reason, report.WantedSince = true, f.Wish.Reason, f.Wish.Since
		if said.Wanted && !said.WantedSince.IsZero() {
			report.WantedSince = said.WantedSince
		}
	case !f.Wish.Known:
		report.Wanted, report.Reason, report.WantedSince = said.Wanted, said.Reason, said.WantedSince
	}

	report.WantedSince = report.WantedSince.UTC().Truncate(time.Second)

	return bounded(report)
}

// bounded is a report as it is read again: a text that is too long would never be the one that the Node has.
func bounded(report v1alpha1.AgentReport) v1alpha1.AgentReport {
	read, err := v1alpha1.ParseAgentReport(report.String())
	if err != nil {
		return v1alpha1.AgentReport{BootID: report.BootID} // a time that JSON cannot say
	}

	return read
}

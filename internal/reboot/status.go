// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"fmt"
	"slices"
	"time"
)

// Phase is how far a reboot is, in the words of the NodeReboot. The zero value is that of one that was just made.
type Phase string

// The phases, in their order. PhaseRestoring is the way out of the middle.
const (
	PhaseNone      Phase = ""
	PhasePending   Phase = "Pending"
	PhaseCordoned  Phase = "Cordoned"
	PhaseDrained   Phase = "Drained"
	PhaseGranted   Phase = "Granted"
	PhaseBack      Phase = "Back"
	PhaseDone      Phase = "Done"
	PhaseRestoring Phase = "Restoring"
)

// Active tells whether a slot is needed.
func (p Phase) Active() bool {
	switch p {
	case PhaseCordoned, PhaseDrained, PhaseGranted, PhaseBack, PhaseRestoring:
		return true
	case PhaseNone, PhasePending, PhaseDone:
	}

	return false
}

// waits tells whether it is in the queue.
func (p Phase) waits() bool { return p == PhaseNone || p == PhasePending }

// Reason is why a reboot is where it is, in one word.
type Reason string

// The reasons of a reboot that waits.
const (
	ReasonNodeMissing   Reason = "NodeMissing"
	ReasonDeleted       Reason = "Deleted"
	ReasonSuspended     Reason = "Suspended"
	ReasonWithdrawn     Reason = "Withdrawn"
	ReasonNoBudget      Reason = "NoBudget"
	ReasonPaused        Reason = "Paused"
	ReasonNoPolicy      Reason = "NoPolicy"
	ReasonPolicyInvalid Reason = "PolicyInvalid"
	ReasonPolicyChanged Reason = "PolicyChanged"
	ReasonNodeLeaving   Reason = "NodeLeaving"
	ReasonDoNotDisrupt  Reason = "DoNotDisrupt"
	ReasonNoAgent       Reason = "NoAgent"
	ReasonNoTalosAPI    Reason = "NoTalosAPI"
	ReasonNotBefore     Reason = "NotBefore"
	ReasonNodeNotReady  Reason = "NodeNotReady"
	ReasonCooldown      Reason = "Cooldown"
	ReasonBackOff       Reason = "BackOff"
	ReasonOutsideWindow Reason = "OutsideWindow"
	ReasonGateClosed    Reason = "GateClosed"
	ReasonQuorum        Reason = "Quorum"
	ReasonBlocked       Reason = "Blocked"
	ReasonChecking      Reason = "Checking"
	ReasonNoSlot        Reason = "NoSlot"
	ReasonNext          Reason = "Next"
)

// The reasons of a reboot that is under way or over.
const (
	ReasonDraining      Reason = "Draining"
	ReasonForcing       Reason = "Forcing"
	ReasonCordonLifted  Reason = "CordonLifted"
	ReasonDelayed       Reason = "Delayed"
	ReasonPodsLeft      Reason = "PodsLeft"
	ReasonRebooting     Reason = "Rebooting"
	ReasonNotBack       Reason = "NotBack"
	ReasonNotReady      Reason = "NotReady"
	ReasonNotRecovered  Reason = "NotRecovered"
	ReasonSettling      Reason = "Settling"
	ReasonRebooted      Reason = "Rebooted"
	ReasonRebootedAlone Reason = "RebootedByItself"
)

// Status is that of a NodeReboot. It is the only memory: whoever takes over goes on from it. Times are whole seconds.
type Status struct {
	Phase   Phase
	Reason  Reason
	Message string
	Policy  string
	// Place is the place in the queue, from 1 on; 0 if it is not in it.
	Place int
	// RequestedAt is the request that all of this is about.
	RequestedAt time.Time
	// BootID is the boot in which the attempt began.
	BootID string
	// Attempt counts the slots that were taken, FailedAttempts those since the request that were given up.
	Attempt, FailedAttempts int
	NextAttemptAt           time.Time
	BlockedBy               []BlockingPod
	Steps                   []Step
	// SettledSince is since when the node has been back without a break; zero while it is not.
	SettledSince time.Time
	// Results are the last ones, the latest first.
	Results []Result
}

// BlockingPod is a pod that cannot be evicted.
type BlockingPod struct {
	Namespace, Name string
	Budgets         []string
	Message         string
}

// String names the pod and what holds it.
func (b BlockingPod) String() string {
	return fmt.Sprintf("pod %s/%s: %s", b.Namespace, b.Name, b.Message)
}

// Step is when a phase began.
type Step struct {
	Phase Phase
	At    time.Time
}

// Result is how an attempt ended.
type Result struct {
	Rebooted              bool
	Reason                Reason
	Message               string
	StartedAt, FinishedAt time.Time
}

// Mark is what is written on a Node for one attempt of a NodeReboot.
func Mark(uid string, attempt int) string { return fmt.Sprintf("%s/%d", uid, attempt) }

// since returns when the phase began, in the present attempt; zero if it did not.
func (s *Status) since(phase Phase) time.Time {
	for _, step := range s.Steps {
		if step.Phase == phase {
			return step.At
		}
	}

	return time.Time{}
}

// enter begins a phase.
func (s *Status) enter(phase Phase, at time.Time) {
	s.Phase = phase
	s.Steps = append(slices.DeleteFunc(slices.Clone(s.Steps), func(step Step) bool { return step.Phase == phase }), Step{phase, at})
}

// say gives the reason.
func (s *Status) say(reason Reason, format string, args ...any) {
	s.Reason, s.Message = reason, fmt.Sprintf(format, args...)
}

// end puts the result of the attempt on record.
func (s *Status) end(result Result) {
	s.Results = append([]Result{result}, s.Results...)
	s.Results = s.Results[:min(len(s.Results), keptResults)]
}

// rebootedAt is when the node was last rebooted; zero if it never was, as far as this is remembered.
func (s *Status) rebootedAt() time.Time {
	for _, result := range s.Results {
		if result.Rebooted {
			return result.FinishedAt
		}
	}

	return time.Time{}
}

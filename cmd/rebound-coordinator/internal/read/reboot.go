// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container has no database of time zones

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func budgetFacts(object *v1alpha1.RebootBudget) *reboot.Budget {
	if object == nil {
		return nil
	}

	budget := &reboot.Budget{
		MaxUnavailable: int(object.Spec.MaxUnavailable),
		Paused:         object.Spec.Paused,
		Holders:        make(map[string]reboot.Holder, len(object.Status.Holders)),
	}

	for _, holder := range object.Status.Holders {
		budget.Holders[holder.Node] = reboot.Holder{
			UID: string(holder.UID), Attempt: int(holder.Attempt), Policy: holder.Policy, Since: holder.Since.Time,
			Step: reboot.Phase(holder.Step),
		}
	}

	return budget
}

// RebootFacts returns what a NodeReboot says.
func RebootFacts(object *v1alpha1.NodeReboot) reboot.Reboot {
	found := reboot.Reboot{
		UID:       string(object.UID),
		Created:   object.CreationTimestamp.Time,
		Deleting:  !object.DeletionTimestamp.IsZero(),
		Finalizer: sets.New(object.Finalizers...).Has(v1alpha1.Finalizer),
		FromNode:  object.Labels[v1alpha1.OriginLabel] == v1alpha1.OriginNode,
		NotBefore: timeOf(object.Spec.NotBefore),
		Suspend:   object.Spec.Suspend,
		Force:     object.Spec.Force,
		// The API server keeps a fraction of a second that a person has written, and the status cannot say it back.
		RequestedAt: timeOf(object.Spec.RequestedAt).Truncate(time.Second),
		Status:      StatusFacts(&object.Status),
	}

	if object.Spec.Priority != nil {
		found.Priority = new(int(*object.Spec.Priority))
	}

	return found
}

// StatusFacts returns a status as the decision has it.
func StatusFacts(object *v1alpha1.NodeRebootStatus) reboot.Status {
	status := reboot.Status{
		Phase: reboot.Phase(object.Phase), Reason: reboot.Reason(object.Reason), Message: object.Message, Policy: object.Policy,
		Place: int(object.Place), RequestedAt: timeOf(object.RequestedAt), BootID: object.BootID, Attempt: int(object.Attempt),
		FailedAttempts: int(object.FailedAttempts), NextAttemptAt: timeOf(object.NextAttemptAt),
		SettledSince: timeOf(object.SettledSince),
	}

	for _, pod := range object.BlockedBy {
		status.BlockedBy = append(status.BlockedBy, reboot.BlockingPod(pod))
	}

	for _, step := range object.Steps {
		status.Steps = append(status.Steps, reboot.Step{Phase: reboot.Phase(step.Phase), At: step.At.Time})
	}

	for _, result := range object.Results {
		status.Results = append(status.Results, reboot.Result{
			Rebooted: result.Outcome == v1alpha1.OutcomeRebooted, Reason: reboot.Reason(result.Reason), Message: result.Message,
			StartedAt: result.StartedAt.Time, FinishedAt: result.FinishedAt.Time,
		})
	}

	return status
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}

	return t.Time
}

// policyFacts returns a policy. What the API server has let through although it cannot be used is its Error: it may know
// other time zones.
func policyFacts(object *v1alpha1.RebootPolicy) (reboot.Policy, selectors) {
	spec := &object.Spec
	policy := reboot.Policy{
		Name:       object.Name,
		Precedence: int(spec.Precedence),
		Priority:   int(spec.Priority),
		Drain: reboot.Drain{
			Timeout:            spec.Drain.Timeout.Duration,
			ForceAfter:         durationOf(spec.Drain.ForceAfter),
			SkipDeletingAfter:  durationOf(spec.Drain.SkipPodsDeletingLongerThan),
			GracePeriodSeconds: spec.Drain.GracePeriodSeconds,
		},
		Delay:      spec.Reboot.Delay.Duration,
		Timeout:    spec.Reboot.Timeout.Duration,
		Settle:     spec.Gates.Settle.Duration,
		Conditions: make(map[string]string, len(spec.Gates.NodeConditions)),
		Cooldown:   spec.Cooldown.Duration,
	}

	switch spec.Drain.OnBlocked {
	case v1alpha1.Force:
		policy.Drain.OnBlocked = reboot.Force
	case v1alpha1.RebootAnyway:
		policy.Drain.OnBlocked = reboot.RebootAnyway
	case v1alpha1.GiveUp:
	}

	switch spec.Reboot.Method {
	case v1alpha1.MethodAgent:
		policy.Method = reboot.MethodAgent
	case v1alpha1.MethodTalosAPI:
		policy.Method = reboot.MethodTalosAPI
	case v1alpha1.MethodAuto:
	}

	for _, condition := range spec.Gates.NodeConditions {
		policy.Conditions[condition.Type] = condition.Status
	}

	var errs []error

	limit, err := limitFacts(spec.MaxUnavailable)
	policy.MaxUnavailable = limit
	errs = append(errs, err)

	for i, window := range spec.Windows {
		found, err := windowFacts(&window)
		if err != nil {
			errs = append(errs, fmt.Errorf("spec.windows[%d]: %w", i, err))

			continue
		}

		policy.Windows = append(policy.Windows, found)
	}

	found := selectors{nodes: selector(&spec.NodeSelector), pods: labels.Everything()}
	if spec.Drain.PodSelector != nil {
		found.pods = selector(spec.Drain.PodSelector)
	}

	errs = append(errs, checkSelector("spec.nodeSelector", &spec.NodeSelector), checkSelector("spec.drain.podSelector", spec.Drain.PodSelector))

	if policy.Drain.Timeout <= 0 {
		errs = append(errs, errors.New("spec.drain.timeout must be greater than 0"))
	}

	if err := errors.Join(errs...); err != nil {
		policy.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}

	return policy, found
}

func durationOf(d *metav1.Duration) *time.Duration {
	if d == nil {
		return nil
	}

	return &d.Duration
}

func limitFacts(value *intstr.IntOrString) (reboot.Limit, error) {
	if value == nil {
		return reboot.Limit{Count: 1}, nil
	}

	if value.Type == intstr.Int {
		return reboot.Limit{Count: value.IntValue()}, nil
	}

	percent, err := strconv.Atoi(strings.TrimSuffix(value.StrVal, "%"))
	if err != nil || percent < 1 || percent > 100 || !strings.HasSuffix(value.StrVal, "%") {
		return reboot.Limit{Count: 1}, fmt.Errorf("spec.maxUnavailable %q is no percentage from 1%% to 100%%", value.StrVal)
	}

	return reboot.Limit{Percent: percent}, nil
}

var weekdays = map[v1alpha1.Weekday]time.Weekday{
	"Sun": time.Sunday, "Mon": time.Monday, "Tue": time.Tuesday, "Wed": time.Wednesday, "Thu": time.Thursday, "Fri": time.Friday,
	"Sat": time.Saturday,
}

func windowFacts(object *v1alpha1.Window) (reboot.Window, error) {
	location, err := time.LoadLocation(object.TimeZone)
	if err != nil {
		return reboot.Window{}, fmt.Errorf("timeZone %q: %w", object.TimeZone, err)
	}

	start, err := reboot.ParseTimeOfDay(object.Start)
	if err != nil {
		return reboot.Window{}, fmt.Errorf("start: %w", err)
	}

	end, err := reboot.ParseTimeOfDay(object.End)
	if err != nil {
		return reboot.Window{}, fmt.Errorf("end: %w", err)
	}

	window := reboot.Window{Start: start, End: end, Location: location}

	for _, name := range object.Days {
		day, ok := weekdays[name]
		if !ok {
			return reboot.Window{}, fmt.Errorf("days: %q is no day", name)
		}

		window.Days = append(window.Days, day)
	}

	return window, nil
}

func checkSelector(field string, object *metav1.LabelSelector) error {
	if _, err := metav1.LabelSelectorAsSelector(object); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}

	return nil
}

// selector selects nothing if it cannot be used.
func selector(object *metav1.LabelSelector) labels.Selector {
	found, err := metav1.LabelSelectorAsSelector(object)
	if err != nil {
		return labels.Nothing()
	}

	return found
}

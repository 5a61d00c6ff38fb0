// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// maxMessage bounds a message in bytes. It may have words of others in it.
const maxMessage = 1024

// maxBudgets is how many PodDisruptionBudgets of one pod are named.
const maxBudgets = 10

func holderObject(name string, holder reboot.Holder) v1alpha1.SlotHolder {
	return v1alpha1.SlotHolder{
		Node: name, UID: types.UID(holder.UID), Attempt: int32(holder.Attempt), Policy: holder.Policy,
		Since: metav1.NewTime(holder.Since), Step: v1alpha1.Phase(holder.Step),
	}
}

// heldBy names the holders, with their steps and since when.
func heldBy(holders []v1alpha1.SlotHolder) string {
	words := make([]string, len(holders))
	for i, holder := range holders {
		words[i] = fmt.Sprintf("%s (%s since %s)", holder.Node, holder.Step, holder.Since.UTC().Format(time.RFC3339))
	}

	return strings.Join(words, ", ")
}

func statusObject(status *reboot.Status) v1alpha1.NodeRebootStatus {
	object := v1alpha1.NodeRebootStatus{
		Phase:          v1alpha1.Phase(status.Phase),
		Reason:         string(status.Reason),
		Message:        specs.Printable(status.Message, maxMessage),
		Policy:         status.Policy,
		Place:          int32(status.Place),
		RequestedAt:    timeObject(status.RequestedAt),
		BootID:         status.BootID,
		Attempt:        int32(status.Attempt),
		FailedAttempts: int32(status.FailedAttempts),
		NextAttemptAt:  timeObject(status.NextAttemptAt),
		SettledSince:   timeObject(status.SettledSince),
	}

	for _, pod := range status.BlockedBy {
		pod.Message = specs.Printable(pod.Message, maxMessage)
		pod.Budgets = pod.Budgets[:min(len(pod.Budgets), maxBudgets)]
		object.BlockedBy = append(object.BlockedBy, v1alpha1.BlockingPod(pod))
	}

	for _, step := range status.Steps {
		object.Steps = append(object.Steps, v1alpha1.Step{Phase: v1alpha1.Phase(step.Phase), At: metav1.NewTime(step.At)})
	}

	for _, result := range status.Results {
		outcome := v1alpha1.OutcomeGivenUp
		if result.Rebooted {
			outcome = v1alpha1.OutcomeRebooted
		}

		object.Results = append(object.Results, v1alpha1.Result{
			Outcome: outcome, Reason: string(result.Reason), Message: specs.Printable(result.Message, maxMessage),
			StartedAt: metav1.NewTime(result.StartedAt), FinishedAt: metav1.NewTime(result.FinishedAt),
		})
	}

	return object
}

func timeObject(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}

	return new(metav1.NewTime(t))
}

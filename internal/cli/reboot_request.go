// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// rebootRequest is what is asked for. Nil is what was not given.
type rebootRequest struct {
	reason    *string
	priority  *int32
	notBefore *time.Time
	force     *bool
	now       time.Time
}

// ask says what is to become of the NodeReboot of a node, and what to tell about it. Current is nil if there is none. A reboot
// that waits, whether or not a coordinator has looked at it, or is under way keeps what was not given; one that is done is
// asked for as if it were the first, and so is one that is only kept since the node itself wanted it. What a person has asked
// for no longer goes with the wish of the node.
func (request rebootRequest) ask(node string, current *v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, string, error) {
	switch {
	case current == nil:
		wanted := &v1alpha1.NodeReboot{ObjectMeta: metav1.ObjectMeta{Name: node}}
		wanted.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeReboot"))
		request.apply(&wanted.Spec)

		return wanted, "its reboot is asked for", nil
	case current.DeletionTimestamp != nil:
		return nil, "", refusal{fmt.Errorf("%s: its last request is still being cancelled; ask again in a moment", node)}
	case isDone(current) && !isUnseen(current), isWithdrawn(current):
		wanted := current.DeepCopy()
		wanted.Spec = v1alpha1.NodeRebootSpec{RequestedAt: request.at(current)}
		request.apply(&wanted.Spec)
		delete(wanted.Labels, v1alpha1.OriginLabel)

		return wanted, "its reboot is asked for anew", nil
	default:
		wanted := current.DeepCopy()
		wanted.Spec.Suspend = false
		request.apply(&wanted.Spec)
		delete(wanted.Labels, v1alpha1.OriginLabel)

		said := "its reboot was already asked for"
		if isOfNode(current) {
			said += " by the node itself"
		}

		if current.Spec.Suspend {
			said = "its reboot was suspended, and no longer is"
		}

		return wanted, said + ": " + describe(current), nil
	}
}

// at is when another reboot is asked for. It is later than the request before, by which the two are told apart, though the
// clock of this machine may be behind and the API keeps whole seconds.
func (request rebootRequest) at(current *v1alpha1.NodeReboot) *metav1.Time {
	at := request.now.Truncate(time.Second)
	last := requestedAt(current).Time

	if of := current.Status.RequestedAt; of != nil && of.After(last) {
		last = of.Time
	}

	if !at.After(last) {
		at = last.Add(time.Second)
	}

	return new(metav1.NewTime(at))
}

// apply puts what was given into a spec.
func (request rebootRequest) apply(spec *v1alpha1.NodeRebootSpec) {
	if request.reason != nil {
		spec.Reason = *request.reason
	}

	if request.priority != nil {
		spec.Priority = request.priority
	}

	if request.notBefore != nil {
		spec.NotBefore = new(metav1.NewTime(*request.notBefore))
	}

	if request.force != nil {
		spec.Force = *request.force
	}
}

// cancel says what is to become of a NodeReboot that is no longer wanted, and what to tell about it. Wished is whether the
// node itself wants to be rebooted. A refusal says that it is too late.
func cancel(node string, current *v1alpha1.NodeReboot, wished bool) (*v1alpha1.NodeReboot, string, error) {
	switch phase := phaseOf(current); {
	case current == nil:
		return nil, "it is no longer asked for", nil
	case isWithdrawn(current) && !wished:
		return current, "the node itself no longer wants its reboot, there is nothing to cancel", nil
	case phase == v1alpha1.PhaseGranted, phase == v1alpha1.PhaseBack:
		return nil, "", refusal{fmt.Errorf("%s: its reboot is %s: a grant is final, and the node reboots or has done so", node, phase)}
	case isDone(current) && !isUnseen(current):
		return nil, "", refusal{fmt.Errorf("%s: its reboot is Done, there is nothing to cancel", node)}
	case current.DeletionTimestamp != nil:
		return current, "its reboot is being cancelled already", nil
	case wished || isOfNode(current):
		wanted := current.DeepCopy()
		wanted.Spec.Suspend = true

		// Deleted, it would be made again.
		return wanted, fmt.Sprintf("its reboot is suspended and not deleted, as the node itself wants it; 'rebound reboot %s' ends that", node), nil
	case isDone(current):
		wanted := current.DeepCopy()
		wanted.Spec.RequestedAt = current.Status.RequestedAt

		// The cooldown goes by the results of the last reboots, which are on it.
		return wanted, "the request for another reboot is cancelled", nil
	case len(current.Finalizers) > 0:
		return nil, "its reboot is cancelled, and the node is being given back", nil
	default:
		return nil, "its reboot is cancelled", nil
	}
}

func phaseOf(reboot *v1alpha1.NodeReboot) v1alpha1.Phase {
	if reboot == nil {
		return ""
	}

	return reboot.Status.Phase
}

// isDone tells whether the last reboot is over. Another one may have been asked for since.
func isDone(reboot *v1alpha1.NodeReboot) bool { return reboot.Status.Phase == v1alpha1.PhaseDone }

// isUnseen tells whether no coordinator has looked at the request yet: there is no status, or it is about an earlier one.
func isUnseen(reboot *v1alpha1.NodeReboot) bool {
	of := reboot.Status.RequestedAt

	return reboot.Status.Phase == "" || isDone(reboot) && of != nil && !requestedAt(reboot).Equal(of)
}

// isOfNode tells whether it goes with the wish of the node.
func isOfNode(reboot *v1alpha1.NodeReboot) bool {
	return reboot.Labels[v1alpha1.OriginLabel] == v1alpha1.OriginNode
}

// isWithdrawn tells whether the node itself wanted it, and no longer does. It is kept for its back-off or cooldown.
func isWithdrawn(reboot *v1alpha1.NodeReboot) bool {
	return isOfNode(reboot) && reboot.Status.Phase == v1alpha1.PhasePending && reboot.Status.Reason == reasonWithdrawn
}

// reasonWithdrawn is what a coordinator says then.
const reasonWithdrawn = "Withdrawn"

// requestedAt is the request that the object stands for.
func requestedAt(reboot *v1alpha1.NodeReboot) *metav1.Time {
	return cmp.Or(reboot.Spec.RequestedAt, &reboot.CreationTimestamp)
}

// notLookedAt is said of a request that no coordinator has seen yet.
const notLookedAt = "it waits for a coordinator to look at it"

// describe says how far the reboot is that is asked for, on one line.
func describe(reboot *v1alpha1.NodeReboot) string {
	if isUnseen(reboot) {
		return notLookedAt
	}

	return describeStatus(reboot.Status)
}

// describeStatus says how far the reboot is that the status is about.
func describeStatus(status v1alpha1.NodeRebootStatus) string {
	text := string(status.Phase)
	if status.Reason != "" {
		text += " (" + status.Reason + ")"
	}

	if status.Message != "" {
		text += ": " + status.Message
	}

	return printable(text)
}

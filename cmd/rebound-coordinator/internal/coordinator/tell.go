// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// action is what all events are about.
const action = "Reboot"

// maxNote is how long an event's note may be in bytes (Kubernetes v1.36.3, pkg/apis/events/validation).
const maxNote = 1024

// teller tells what has changed, as events and as metrics.
type teller struct {
	recorder events.EventRecorder
	metrics  *metrics
	logger   *zap.Logger
}

// tell takes a status that was written.
func (t *teller) tell(told apply.Told) {
	t.metrics.step(told.Was, told.Now)

	if told.Was.Phase != told.Now.Phase || told.Was.Reason != told.Now.Reason {
		t.logger.Info("reboot", zap.String("node", told.Object.Name), zap.String("phase", string(told.Now.Phase)),
			zap.String("reason", string(told.Now.Reason)), zap.String("message", told.Now.Message),
			zap.Int("attempt", told.Now.Attempt))
	}

	kind, reason := eventOf(told.Was, told.Now)
	if reason == "" {
		return
	}

	note := specs.Printable(told.Now.Message, maxNote)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: told.Object.Name, UID: types.UID(told.Object.Name)}}

	t.recorder.Eventf(told.Object, node, kind, reason, action, "%s", note)
	t.recorder.Eventf(node, told.Object, kind, reason, action, "%s", note)
}

// eventOf says what is worth an event: every step, and why a node does not get further.
func eventOf(was, now reboot.Status) (kind, reason string) {
	switch {
	case was.Phase != now.Phase && now.Phase == reboot.PhaseRestoring:
		return corev1.EventTypeWarning, "GivenUp"
	case was.Phase != now.Phase && now.Phase.Active():
		return corev1.EventTypeNormal, string(now.Phase)
	case was.Phase != now.Phase && now.Phase == reboot.PhaseDone:
		return corev1.EventTypeNormal, string(now.Reason)
	case was.Reason == now.Reason:
		return "", ""
	}

	switch now.Reason { //nolint:exhaustive // the others are the ordinary course of things
	case reboot.ReasonBlocked, reboot.ReasonNoPolicy, reboot.ReasonPolicyInvalid, reboot.ReasonNoBudget, reboot.ReasonNoAgent,
		reboot.ReasonNoTalosAPI, reboot.ReasonNodeMissing, reboot.ReasonNotBack, reboot.ReasonForcing, reboot.ReasonPodsLeft:
		return corev1.EventTypeWarning, string(now.Reason)
	}

	return "", ""
}

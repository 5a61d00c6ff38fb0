// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// ReportRecovery writes a report to the Node object: its annotation and its condition, in one request to the status of the
// Node, which is what the kubelet does to its own. It may be repeated: what is there already is not written again. A report
// of an agent gives way to one of machined about the same boot; that is no error.
func (c *Client) ReportRecovery(ctx context.Context, name string, report specs.NodeReport, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	object, err := c.core.Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("failed to read node %q: %w", name, err)
	}

	if report.Host == specs.HostAgent && isOfMachined(object, report.BootID) {
		return nil
	}

	now := metav1.NewTime(at)
	condition := corev1.NodeCondition{
		Type:               specs.NodeCondition,
		Status:             corev1.ConditionStatus(report.ConditionStatus()),
		Reason:             report.ConditionReason(),
		Message:            report.ConditionMessage(),
		LastHeartbeatTime:  now,
		LastTransitionTime: now,
	}

	if was := nodeCondition(object, specs.NodeCondition); was != nil {
		if was.Status == condition.Status {
			condition.LastTransitionTime = was.LastTransitionTime
		}

		if was.Status == condition.Status && was.Reason == condition.Reason && was.Message == condition.Message &&
			object.Annotations[specs.NodeAnnotation] == report.String() {
			return nil
		}
	}

	// A strategic merge leaves the conditions of others alone: they are told apart by their type.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{specs.NodeAnnotation: report.String()}},
		"status":   map[string]any{"conditions": []corev1.NodeCondition{condition}},
	})
	if err != nil {
		return fmt.Errorf("failed to encode the report of node %q: %w", name, err)
	}

	if _, err = c.core.Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("failed to report on node %q: %w", name, err)
	}

	return nil
}

// isOfMachined tells whether machined of the node has rebound and has reported on this boot.
func isOfMachined(object *corev1.Node, bootID string) bool {
	report, err := specs.ParseNodeReport(object.Annotations[specs.NodeAnnotation])

	return err == nil && report.Host == specs.HostMachined && report.BootID == bootID
}

func nodeCondition(object *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range object.Status.Conditions {
		if object.Status.Conditions[i].Type == kind {
			return &object.Status.Conditions[i]
		}
	}

	return nil
}

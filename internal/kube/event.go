// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// EventComponent reports the events.
	EventComponent = "rebound"
	// EventReason is the reason of the event that every delete leaves.
	EventReason = "DeletedFailedPod"
	// maxNote bounds what an event says, in bytes, as the API server does with those of events.k8s.io.
	maxNote = 1024
)

// RecordDeletion leaves an event on the DaemonSet of a pod that was deleted, so that "kubectl get events" tells who did
// it and why. reason completes the sentence "deleted Failed pod x on node y: ".
func (c *Client) RecordDeletion(ctx context.Context, pod recovery.Pod, reason string, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	_, err := c.core.Events(pod.Namespace).Create(ctx, deletionEvent(pod, reason, at), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("failed to create an event for the deleted pod %q: %w", pod.Namespace+"/"+pod.Name, err)
	}

	return nil
}

func deletionEvent(pod recovery.Pod, reason string, at time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, GenerateName: pod.Owner.Name + "."},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: schema.GroupVersion{Group: pod.Owner.Group, Version: pod.Owner.Version}.String(),
			Kind:       pod.Owner.Kind,
			Namespace:  pod.Namespace,
			Name:       pod.Owner.Name,
			UID:        types.UID(pod.Owner.UID),
		},
		Type:                corev1.EventTypeNormal,
		Reason:              EventReason,
		Message:             specs.Printable(fmt.Sprintf("deleted Failed pod %s on node %s: %s", pod.Name, pod.NodeName, reason), maxNote),
		Source:              corev1.EventSource{Component: EventComponent, Host: pod.NodeName},
		ReportingController: EventComponent,
		ReportingInstance:   pod.NodeName,
		FirstTimestamp:      metav1.NewTime(at),
		LastTimestamp:       metav1.NewTime(at),
		Count:               1,
	}
}

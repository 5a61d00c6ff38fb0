// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// attemptReason is the reason of the event that a DaemonSet controller leaves before it deletes a Failed pod, which is also when
// a wait begins, and attemptMessage what it says then (Kubernetes 1.36, pkg/controller/daemon/daemon_controller.go).
const attemptReason = "FailedDaemonPod"

var attemptMessage = regexp.MustCompile(`Found failed daemon pod (\S+)/(\S+) on node (\S+), will try to kill it`)

// Attempt is one delete that a DaemonSet controller has told of.
type Attempt struct {
	// DaemonSet is the UID of the DaemonSet, Pod and Node are names.
	DaemonSet, Pod, Node string
	// At is when it was, in whole seconds, on the clock of kube-controller-manager.
	At time.Time
}

// Attempts are the deletes that DaemonSet controllers have told of, as far as the events are still there, an hour as a rule.
// Namespace may be empty for all.
func (c *Client) Attempts(ctx context.Context, namespace string) ([]Attempt, error) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("reason", attemptReason).String(), Limit: pageSize}

	var found []Attempt

	for {
		list, err := request(ctx, "failed to list the events of DaemonSets", func(ctx context.Context) (*corev1.EventList, error) {
			return c.core.Events(namespace).List(ctx, options)
		})
		if err != nil {
			return nil, err
		}

		for i := range list.Items {
			if attempt, ok := attemptOf(&list.Items[i]); ok {
				found = append(found, attempt)
			}
		}

		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// attemptOf reads an event; false if it is another one. Events that are like each other are combined: then it has the words of
// the last one.
func attemptOf(event *corev1.Event) (Attempt, bool) {
	words := attemptMessage.FindStringSubmatch(event.Message)
	if words == nil || event.Reason != attemptReason {
		return Attempt{}, false
	}

	at := event.LastTimestamp.Time
	if at.IsZero() {
		at = event.EventTime.Time
	}

	return Attempt{DaemonSet: string(event.InvolvedObject.UID), Pod: words[2], Node: words[3], At: at}, true
}

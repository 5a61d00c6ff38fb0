// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

const (
	// lookInterval is how often is looked for what a command sees once.
	lookInterval = 500 * time.Millisecond
	// never is a delay that no test lives to see the end of.
	never = time.Hour
)

// kubectl is the access of somebody who may do everything.
func (s *scenario) kubectl() cli.KubeAccess {
	return cli.KubeAccess{Kubeconfig: s.cluster.Kubeconfig()}
}

// waitStatus is what rebound backoff status says of one pod.
type waitStatus struct {
	DaemonSet, Node, Pod, Reason string
	Deletes                      int
	FailedSince                  time.Time
	NextAttempt                  *struct{ Earliest, Likely, Latest time.Time }
}

// backoffStatus runs rebound backoff status on a DaemonSet of the scenario.
func (s *scenario) backoffStatus(daemonSet string) []waitStatus {
	var out bytes.Buffer

	options := cli.BackoffStatusOptions{Access: s.kubectl(), DaemonSet: s.name + "/" + daemonSet, Output: cli.FormatJSON}
	require.NoError(s.t, cli.BackoffStatus(s.ctx, options, &out))

	var result struct{ Waits []waitStatus }

	require.NoError(s.t, json.Unmarshal(out.Bytes(), &result))

	return result.Waits
}

// cleared is what rebound backoff clear says of one pod.
type cleared struct{ DaemonSet, Node, Pod, Outcome, Reason string }

// clearBackoff runs rebound backoff clear on one node.
func (n *node) clearBackoff(dryRun bool) []cleared {
	var out bytes.Buffer

	options := cli.BackoffClearOptions{Access: n.kubectl(), Node: n.Name(), DryRun: dryRun, Output: cli.FormatJSON}
	require.NoError(n.t, cli.ClearBackoff(n.ctx, options, &out))

	var result struct{ Pods []cleared }

	require.NoError(n.t, json.Unmarshal(out.Bytes(), &result))

	return result.Pods
}

// clearUntil runs it until what it says is as wanted.
func (n *node) clearUntil(dryRun bool, wanted func([]cleared) bool) []cleared {
	var last []cleared

	err := wait.PollUntilContextCancel(n.ctx, lookInterval, true, func(context.Context) (bool, error) {
		last = n.clearBackoff(dryRun)

		return wanted(last), nil
	})
	require.NoError(n.t, err, "last said: %+v", last)

	return last
}

// clearedBy are the deletes of pods of the scenario that rebound backoff has sent.
func (s *scenario) clearedBy() []lab.AuditRecord {
	return s.audit(func(record lab.AuditRecord) bool {
		return record.Verb == "delete" && record.Resource == "pods" && record.Namespace == s.name &&
			strings.HasPrefix(record.UserAgent, kubebackoff.UserAgent)
	})
}

// failedPods are the Failed pods of the DaemonSet on the node that are not being deleted.
func (n *node) failedPods(daemonSet string) []corev1.Pod {
	var found []corev1.Pod

	for _, pod := range n.pods() {
		owner := metav1.GetControllerOf(&pod)
		if owner != nil && owner.Name == daemonSet && pod.Spec.NodeName == n.Name() &&
			pod.Status.Phase == corev1.PodFailed && pod.DeletionTimestamp == nil {
			found = append(found, pod)
		}
	}

	return found
}

// awaitBackOff waits until the DaemonSet controller has deleted so many Failed
// pods of the DaemonSet on the node, the last one just now, and there is a Failed
// pod again, which is returned.
func (n *node) awaitBackOff(daemonSet string, deletes int) corev1.Pod {
	var found corev1.Pod

	err := wait.PollUntilContextCancel(n.ctx, lookInterval, true, func(context.Context) (bool, error) {
		// The deletes come first: what is Failed after them is not what they deleted.
		if len(n.controllerDeletes(daemonSet)) < deletes {
			return false, nil
		}

		failed := n.failedPods(daemonSet)
		if len(failed) != 1 {
			return false, nil
		}

		found = failed[0]

		return true, nil
	})
	require.NoError(n.t, err, "%d deletes of pods of DaemonSet %q on node %q; so far %d", deletes, daemonSet, n.Name(), len(n.controllerDeletes(daemonSet)))

	return found
}

// controllerDeletes are the deletes of Failed pods of the DaemonSet on the node that
// its controller has sent.
func (n *node) controllerDeletes(daemonSet string) []lab.AuditRecord {
	var found []lab.AuditRecord

	for _, record := range n.podDeletes() {
		owner := metav1.GetControllerOf(record.Pod)
		if record.User == lab.DaemonSetController && owner != nil && owner.Name == daemonSet &&
			record.Pod.Spec.NodeName == n.Name() && record.Pod.Status.Phase == corev1.PodFailed {
			found = append(found, record)
		}
	}

	return found
}

// awaitGone waits until the pod is not there any more.
func (s *scenario) awaitGone(pod corev1.Pod) {
	err := wait.PollUntilContextCancel(s.ctx, lookInterval/5, true, func(ctx context.Context) (bool, error) {
		now, err := s.cluster.Client().CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})

		switch {
		case apierrors.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, err
		default:
			return now.UID != pod.UID, nil
		}
	})
	require.NoError(s.t, err, "the end of pod %q", pod.Name)
}

// eventually waits until something is so.
func (s *scenario) eventually(what string, isSo func() bool) {
	err := wait.PollUntilContextCancel(s.ctx, lookInterval, true, func(context.Context) (bool, error) { return isSo(), nil })
	require.NoError(s.t, err, what)
}

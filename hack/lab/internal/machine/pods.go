// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	statusTimeout  = 3 * time.Second
	statusInterval = 50 * time.Millisecond
	// statusSettled is less than the shortest back-off of the DaemonSet
	// controller, which is a second, and more than it takes to replace and
	// reject a pod without one.
	statusSettled = 500 * time.Millisecond
)

// awaitPodStatuses gives the kubelet the time to tell the API server how its
// pods ended. The kubelet releases its inhibitor when the pods are dead, and
// writes their statuses a moment later; a machine is not down at once either,
// it stops sandboxes and unmounts. Meanwhile the DaemonSet controller replaces
// failed pods and the kubelet rejects the replacements, so the wait is for the
// moment at which that comes to rest, and for a bounded time.
func (machine *machine) awaitPodStatuses(ctx context.Context) error {
	config, err := machine.nodeClient("machined")
	if err != nil {
		return err
	}

	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("failed to create client: %w", err)
	}

	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()

	own := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", machine.config.Name).String()}

	var settled time.Time

	err = wait.PollUntilContextCancel(ctx, statusInterval, true, func(ctx context.Context) (bool, error) {
		pods, listErr := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, own)
		if listErr != nil {
			return false, nil //nolint:nilerr // without an API server there is nobody to wait for
		}

		for _, pod := range pods.Items {
			if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
				settled = time.Time{}

				return false, nil
			}
		}

		if settled.IsZero() {
			settled = time.Now()
		}

		return time.Since(settled) >= statusSettled, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}

	return err
}

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
	statusTimeout  = 2 * time.Second
	statusInterval = 100 * time.Millisecond
)

// awaitPodStatuses gives the kubelet the time to tell the API server how its
// pods ended. The kubelet releases its inhibitor when the pods are dead, and
// writes their statuses a moment later; a machine is not down at once either,
// it stops sandboxes and unmounts. The wait is short: a DaemonSet controller
// may replace failed pods for as long as the kubelet rejects them.
func (machine *machine) awaitPodStatuses(ctx context.Context) error {
	config, err := machine.kubeletClient()
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

	err = wait.PollUntilContextCancel(ctx, statusInterval, true, func(ctx context.Context) (bool, error) {
		pods, listErr := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, own)
		if listErr != nil {
			return false, nil //nolint:nilerr // without an API server there is nobody to wait for
		}

		for _, pod := range pods.Items {
			if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
				return false, nil
			}
		}

		return true, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}

	return err
}

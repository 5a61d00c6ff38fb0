// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// DeletePod deletes exactly the pod that was seen: its UID is a precondition. It may be repeated; a pod that is gone
// already gives an error for which IsGone is true.
func (c *Client) DeletePod(ctx context.Context, pod recovery.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()

	uid := types.UID(pod.UID)

	// Not the typed client: it would send the delete again by itself when the server says "later", and the caller has to
	// look before every single one whether it may still be sent.
	err := c.core.RESTClient().Delete().
		Namespace(pod.Namespace).Resource("pods").Name(pod.Name).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}).
		MaxRetries(0).
		Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("failed to delete pod %q: %w", pod.Namespace+"/"+pod.Name, err)
	}

	return nil
}
